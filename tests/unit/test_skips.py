"""What could not be tested on a machine is said at the end of the tests."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NEEDS

TESTS = Path(__file__).parents[1]
SKIPPING = """
import pytest

@pytest.mark.skipif(True, reason="no GPU")
@pytest.mark.parametrize("n", range(3))
def test_parts(n): pass

@pytest.mark.skipif(True, reason="no CUDA device")
def test_all(): pass

@pytest.mark.skipif(True, reason="needs pdflatex")
def test_tables(): pass

def test_at_run_time(): pytest.skip("out of luck: [none]")
"""


def last_lines(folder, text, *arguments):
    """What pytest prints below its dots about a test file under our settings."""
    shutil.copy(TESTS / "conftest.py", folder)
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_line_says_what_was_not_tested_and_what_it_needs(tmp_path, arguments):
    lines = last_lines(tmp_path, SKIPPING, *arguments)
    assert "not tested" in lines[-5] and "6 skipped" in lines[-1]
    gpu, unknown, latex = sorted(lines[-4:-1], key=lambda line: line.split(": ")[1])
    assert gpu.startswith("4 tests: computation on a GPU; needs an NVIDIA GPU")
    assert latex == "1 test: whether the LaTeX tables compile; needs " + NEEDS["needs pdflatex"][1]
    assert unknown == "1 test: out of luck: [none]"


def test_nothing_is_said_if_everything_was_tested(tmp_path):
    assert "not tested" not in "".join(last_lines(tmp_path, "def test_all(): pass"))


def test_every_mark_that_skips_has_its_line():
    reasons = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "skipif":
                (reason,) = (entry.value for entry in node.keywords if entry.arg == "reason")
                reasons.add(ast.literal_eval(reason))
    assert reasons == set(NEEDS)
