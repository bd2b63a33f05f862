"""Each storey of the library imports only from those below it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# commands, which use all of the library; no part of their storey imports them
COMMANDS = [ROOT / "ecqx/results/merge.py"]
STOREYS = ["tasks", "attribution", "compression", "evaluation", "results", "page"]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("storey", STOREYS)
def test_storeys(storey):
    above = STOREYS[STOREYS.index(storey) + 1 :]
    files = list((ROOT / "ecqx" / storey).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            assert name.split(".")[0] not in ("pipeline", "baselines"), path
            if path not in COMMANDS:
                assert not any(name.startswith(f"ecqx.{other}") for other in above), (path, name)
                assert name not in ("ecqx.results.merge",), path


def test_results_need_no_torch():
    declaring = ("explainers", "consistency", "localisation", "complexity")
    allowed = ("ecqx.results", "ecqx.page", *(f"ecqx.evaluation.{name}" for name in declaring))
    torch_free = [*(ROOT / "ecqx/results").rglob("*.py"), *(ROOT / "ecqx/page").rglob("*.py")]
    for path in torch_free:
        for name in imported(path):
            assert name.split(".")[0] not in ("torch", "zennit", "nncodec", "numba"), path
            assert not name.startswith("ecqx.") or name.startswith(allowed), (path, name)
    run = "import sys, ecqx.results.tables, ecqx.results.figures, ecqx.page"
    check = "assert not {'torch', 'zennit', 'nncodec', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{run}; {check}"], check=True, cwd=ROOT)


@pytest.mark.parametrize(("room", "other"), [("planning", "jobs"), ("jobs", "planning")])
def test_the_workflow_plans_apart_from_its_jobs(room, other):
    files = list((ROOT / "workflow/pipeline" / room).glob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            assert not name.startswith(f"pipeline.{other}"), (path, name)


def test_the_library_knows_no_workflow():
    for path in (ROOT / "ecqx").rglob("*.py"):
        for name in imported(path):
            assert name.split(".")[0] not in ("workflow", "pipeline", "baselines"), (path, name)


def test_baselines_do_not_lean_on_each_other():
    for path in (ROOT / "baselines").glob("*.py"):
        assert not any(name.startswith("baselines") for name in imported(path)), path
