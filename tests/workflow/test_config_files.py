"""Configuration files that are none, and those that say something twice, in one line each."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from pipeline.planning import validation
from pipeline.planning.config_files import problems
from snakemake.utils import update_config

from tests.workflow.conftest import ENVIRONMENT, ROOT

EXPECTED = "expected a configuration file (YAML)"


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.stem)
def test_those_of_the_project_are_sound(path):
    assert problems([path]) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x91\x00\xff", f": is no text in UTF-8 (byte 0), {EXPECTED}"),
        (b"results_dir: caf\xe9\n", f": is no text in UTF-8 (byte 16), {EXPECTED}"),
        (b"a: b\0c\n", ": cannot be read as YAML: unacceptable character #x0000: "),
        (b"seeds: [0]\na: [\n", ", line 3: cannot be read as YAML: expected the node content"),
        (b"a: 1\n---\nb: 1\n", ", line 2: cannot be read as YAML: but found another document"),
        (b"seeds:\n\t- 1\n", ", line 2: cannot be read as YAML: found character '\\t'"),
        (b"- 1\n", ": holds no keys, expected those explained in config/default.yaml"),
        (b"", ": holds no keys, expected those explained in config/default.yaml"),
        (b"#" * 1_000_001, f": holds more than 1,000,000 bytes, {EXPECTED}"),
        (b"a: 1\nb: 2\na: 1\n", ", line 3: a: given again (first in line 1), expected each key"),
        (b"{a: 1, b: 2, 'a': 3}", ", line 1: a: given again (first in line 1), expected each key"),
        (b"g:\n- x: {p: 1, p: 2}", ", line 2: g[0].x.p: given again (first in line 2), expected"),
    ],
)
def test_one_line_for_what_is_wrong(tmp_path, content, said):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    (line,) = problems([path])
    assert line.startswith(f"{path}{said}") and line.isprintable()


def test_aliases_and_equal_keys_of_different_mappings_are_no_problem(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("a: &x {p: 1, q: [1, 1]}\nb: *x\nc: {<<: *x, p: 2}\n1: {a: 1}\n'1': 2\n")
    assert problems([path]) == []


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert problems([tmp_path / "pipe"]) == [f"{tmp_path}/pipe: is no file, {EXPECTED}"]
    assert problems([tmp_path]) == [f"{tmp_path}: is no file, {EXPECTED}"]
    assert problems(["/dev/zero"]) == [f"/dev/zero: is no file, {EXPECTED}"]
    (line,) = problems([tmp_path / "missing.yaml"])
    where = f"(relative to {Path.cwd()})"
    assert line == f"{tmp_path}/missing.yaml: No such file or directory, {EXPECTED} {where}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"grids": {"ecq": [{"levels": 4, "lam": [0.1, math.inf]}]}},
         "grids.ecq[0].lam[1]: got inf, expected a finite number"),
        ({"task_settings": {"digits": {"budget": {"epochs": 10**21}}}},
         f"task_settings.digits.budget.epochs: got 1{'0' * 21}, expected an integer from 1 to"),
        ({"task_settings": {"digits": {"budget": {"learning_rate": 1e300}}}},
         "task_settings.digits.budget.learning_rate: got 1e+300, expected a number above 0, at"),
        ({"results_dir": "a\0b"}, r"results_dir: got 'a\x00b', expected printable characters"),
        ({"tasks": ["digits\n"]}, r"tasks[0]: got 'digits\n', expected printable characters"),
        ({"grids": {"e\0": []}}, r"grids: got the key 'e\x00', expected printable characters"),
        ({"results_dir": str(ROOT / "Snakefile/x")}, "results_dir: got "),
        ({"results_dir": "~nobody_here/x"}, "results_dir: got '~nobody_here/x', expected ~ or"),
    ],
)  # fmt: skip
def test_values_that_no_key_can_have(changes, said):
    config = yaml.safe_load((ROOT / "config/default.yaml").read_text("utf-8"))
    update_config(config, changes)
    (line,) = validation.problems(config, ROOT)
    assert line.startswith(said)


def test_make_asks_before_snakemake_is_called(tmp_path):
    command = [sys.executable, "-m", "pipeline.planning.config_files"]
    sound = subprocess.run([*command, ROOT / "config/smoke.yaml"], env=ENVIRONMENT)
    assert sound.returncode == 0
    refused = subprocess.run(
        [*command, "/dev/zero", tmp_path], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 2
    # the tests may run inside make, which would hand its options down
    environment = {name: at for name, at in ENVIRONMENT.items() if not name.startswith("MAKE")}
    told = subprocess.run(
        ["make", "--dry-run", "--old-file=.venv/.installed", "figures", "CONFIG=mine.yaml"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    check, _, call = told.stdout.strip().splitlines()[-1].partition(" && ")
    assert check.endswith("-m pipeline.planning.config_files mine.yaml")
    assert call.endswith("snakemake --cores 1 figures --configfile mine.yaml")


def test_results_may_lie_below_the_home_folder(checkout, monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    checkout.write("mine.yaml", "results_dir: ~/kept\nseeds: [0]\ntasks: [digits]\n")
    done = checkout.snakemake(
        "check", "--cores", "1", "--quiet", "all", "--configfile", "mine.yaml"
    )
    assert done.returncode == 0, done.stdout
    assert (home / "kept/tables/methods.csv").is_file()
    assert not (checkout.folder / "~").exists()
