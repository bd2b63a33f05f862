"""The files that describe the environment say the same thing."""

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ecqx.tasks import datasets

ROOT = Path(__file__).parents[2]


def locked():
    lines = (line.strip() for line in (ROOT / "requirements.lock").read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def pins():
    """Package -> pinned version."""
    requirements = map(Requirement, locked())
    return {canonicalize_name(r.name): str(r.specifier).removeprefix("==") for r in requirements}


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared():
    extras = project()["optional-dependencies"].values()
    return [Requirement(line) for part in (project()["dependencies"], *extras) for line in part]


def test_lock_pins_every_package_once():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+( *; *\S.*)?", line) for line in locked())
    assert len(pins()) == len(locked())


def test_conda_has_the_pins_of_the_lock():
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert "python=3.11" in dependencies and "cxx-compiler" in dependencies
    assert [part["pip"] for part in dependencies if isinstance(part, dict)] == [locked()]


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_lock_satisfies_the_project(requirement):
    assert requirement.specifier.contains(pins()[canonicalize_name(requirement.name)])


def test_lock_is_closed():
    """What a locked package needs is locked too."""
    lacking = set()
    for name in pins():
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # pinned for another platform
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                lacking.add(canonicalize_name(need.name))
    assert lacking - set(pins()) == set()


def test_environment_is_the_lock():
    """Results are compared across machines: the packages in use are the pinned ones."""
    relevant = ["torch", "torchvision", "torchaudio", "zennit", "nncodec", "numpy", "snakemake"]
    assert {name: importlib.metadata.version(name) for name in relevant} == {
        name: pins()[name] for name in relevant
    }


def test_nothing_points_to_a_machine_or_an_index():
    for name in ("requirements.lock", "environment.yml", "pyproject.toml", "Makefile"):
        text = (ROOT / name).read_text()
        assert not re.search(r"https?://|file:|--index|--find-links|/home/|/root/", text), name


def test_library_imports_without_snakemake():
    names = {canonicalize_name(Requirement(line).name) for line in project()["dependencies"]}
    assert "snakemake" not in names
    for path in (ROOT / "ecqx").rglob("*.py"):
        assert "snakemake" not in path.read_text(encoding="utf-8"), path


def test_ci_runs_the_tests():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111 and "make test" in script.read_text()


def without_cuda():
    """What `make CPU=1` installs, by the pattern of the Makefile."""
    (pattern,) = re.findall(r"^CUDA := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return [line for line in locked() if not re.search(pattern, line)]


def test_an_installation_without_cuda_lacks_nothing_else():
    left = {canonicalize_name(Requirement(line).name) for line in without_cuda()}
    gone = set(pins()) - left
    assert "torch" in left and "nvidia-cublas" in gone and "triton" in gone
    for name in left:
        try:
            needs = map(Requirement, importlib.metadata.requires(name) or [])
        except importlib.metadata.PackageNotFoundError:
            continue  # pinned for another platform
        wanted = {
            canonicalize_name(need.name)
            for need in needs
            if need.marker is None or need.marker.evaluate({"extra": ""})
        }
        # only torch asks for them, where it is built for CUDA
        assert not wanted & gone or name == "torch", name


@pytest.mark.parametrize("cpu", [False, True])
def test_make_installs_the_lock(tmp_path, cpu):
    """By a Python that writes down what it is asked for."""
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text())
    (tmp_path / "requirements.lock").write_text((ROOT / "requirements.lock").read_text())
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\ncase "$2" in venv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python";;'
        ' pip) for last in "$@"; do :; done; cp "$last" installed;; esac\n'
    )
    python.chmod(0o755)
    command = ["make", f"PYTHON={python}", "CXX_FOUND=c++", ".venv/.installed"]
    done = subprocess.run(
        [*command, *(["CPU=1"] if cpu else [])], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (tmp_path / "installed").read_text().splitlines()
    found = [line for line in lines if line.strip() and not line.startswith("#")]
    assert found == (without_cuda() if cpu else locked())


def test_forms_and_workflow_of_the_repository_are_whole():
    forms = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 4
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= form.keys()
            identities = [part["id"] for part in form["body"] if part["type"] != "markdown"]
            assert len(set(identities)) == len(identities)
    tests = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]
    commands = [step.get("run", "") for step in tests["steps"]]
    assert any("make test" in command for command in commands)
    assert tests["steps"][1]["with"]["python-version"] == "3.11"


def test_every_data_set_has_a_card():
    text = (ROOT / "ecqx/tasks/datasets/README.md").read_text(encoding="utf-8")
    cards = dict(re.findall(r"^## (\w+)$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert set(cards) == set(datasets.names())
    for name, card in cards.items():
        for part in ("What.", "Source", "erms", "Limits."):
            assert part in card, (name, part)


def test_links_of_the_documents_lead_somewhere():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "ecqx/tasks/datasets/README.md"):
        path = ROOT / name
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), (name, target)
