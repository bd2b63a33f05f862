"""A run that is killed again and again, or whose files are damaged, ends as one that was not."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from pipeline.planning.plan import Plan
from snakemake.utils import update_config

from tests.workflow.conftest import SMOKE, Checkout, copy_repository
from tests.workflow.same_results import differing

pytestmark = pytest.mark.slow

CONFIG = {
    "seeds": [0],
    "methods": ["uniform_ptq", "ecqx"],
    "grids": {
        "uniform_ptq": [{"bits": [2, 4]}],
        "ecqx": [{"bits": [2, 4], "lam": 0.2}],
    },
    "task_settings": {"digits": {"pretraining": {"epochs": 1}, "points_per_job": 4}},
}
CALL = ("make_tables", "make_page", "--cores", "2", *SMOKE, "small.yaml")
KILLS = 4


def prepared(folder):
    folder.mkdir()
    checkout = copy_repository(folder)
    checkout.write("small.yaml", yaml.safe_dump(CONFIG))
    return checkout


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished run. Leave it as it is."""
    checkout = prepared(tmp_path_factory.mktemp("undisturbed") / "checkout")
    done = checkout.snakemake(*CALL)
    assert done.returncode == 0, done.stdout
    return checkout


def files(folder):
    return sum(path.is_file() for path in folder.rglob("*"))


def test_killed_at_random_moments_it_ends_with_the_same_files(undisturbed, tmp_path):
    moments = random.Random(18)
    checkout = prepared(tmp_path / "killed")
    for _ in range(KILLS):
        # after so many more files, and any time until the next one or the one after that
        seen, after, wait = files(checkout.results), moments.randint(1, 12), moments.random()
        running = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *CALL], cwd=checkout.folder, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while running.poll() is None and files(checkout.results) < seen + after:
            time.sleep(0.1)
        time.sleep(wait)
        assert running.poll() is None, "it ended before it was killed"
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    done = checkout.snakemake(*CALL)
    assert done.returncode == 0, done.stdout
    assert differing(undisturbed.results, checkout.results) == []


@pytest.fixture
def finished(undisturbed, tmp_path):
    """A copy of the finished run for changing."""
    shutil.copytree(undisturbed.folder, tmp_path / "finished")
    return Checkout(tmp_path / "finished")


def flip(path):
    """Change one bit, and not the time that the file was written at."""
    chance = random.Random(path.name)
    content, status = bytearray(path.read_bytes()), path.stat()
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def kinds(results):
    """One file that is not empty of each kind: (folder below the results, name) -> path.

    Logs are for people alone, and receipts are no results.
    """
    found = {}
    for path in sorted(results.rglob("*")):
        folder = path.relative_to(results).parts[0]
        if folder in ("logs", "benchmarks", "receipts") or not path.is_file():
            continue
        if path.name not in ("compressed.json", "evaluated.json") and path.stat().st_size:
            found.setdefault((folder, path.name), path)
    return found


def test_a_flipped_bit_is_noticed_in_each_kind_of_file(finished):
    config = {}
    for name in ("config/default.yaml", "config/smoke.yaml", "small.yaml"):
        update_config(config, yaml.safe_load((finished.folder / name).read_text()))
    config["results_dir"] = str(finished.results)

    def plan():
        return Plan(config, finished.folder)

    left = {job.stage for job in plan().jobs if not job.done}
    assert left == {"draw_figures"}  # which was not asked for
    every = kinds(finished.results)
    assert len(every) > 60
    for path in every.values():
        content = path.read_bytes()
        flip(path)
        found = plan()
        assert found.damaged == [str(path.relative_to(finished.results))]
        assert {job.stage for job in found.jobs if not job.done} > left
        path.write_bytes(content)


def test_damaged_files_are_named_and_made_again(undisturbed, finished):
    # the records of runs have their times in them: what is made of those is made again in any case
    damaged = [
        path
        for (folder, name), path in kinds(finished.results).items()
        if folder in ("data", "pretrained", "runs") and (folder, name) != ("runs", "run.json")
    ]
    assert len(damaged) > 20
    for path in damaged:
        flip(path)
    done = finished.snakemake(*CALL)
    assert done.returncode == 0, done.stdout
    for path in damaged:
        name = finished.results.relative_to(finished.folder) / path.relative_to(finished.results)
        assert f"{name}: missing, or not what was written; it is made again" in done.stdout
    assert differing(undisturbed.results, finished.results) == []
