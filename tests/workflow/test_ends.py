"""What ends a job for no fault of its own is said in one line: a full disk, the user."""

import subprocess
import sys

import pytest

from tests.workflow.conftest import ENVIRONMENT

SCRIPT = """
from pipeline.jobs import points
from pipeline.jobs.job import open_log

open_log("job.log")

def fill():
    with open("/dev/full", "w") as file:
        file.write("x")

def save():
    import torch
    torch.save(torch.zeros(1000), "/dev/full")

def begin():
    return lambda point, lost: {what}()

{call}
"""


def ended(folder, script):
    """The finished process of a script."""
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )


@pytest.mark.parametrize("what", ["fill", "save"])
@pytest.mark.parametrize("call", ["{what}()", "points.work_through([1, 2], begin)"])
def test_a_full_disk_is_one_line(tmp_path, what, call):
    script = SCRIPT.format(what=what, call=call.format(what=what))
    done = ended(tmp_path, script)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert line.startswith(f"no space left on the disk of {tmp_path} (")
    assert "Traceback" in (tmp_path / "job.log").read_text()


def test_the_user_who_stops_a_job_gets_one_line(tmp_path):
    script = SCRIPT.format(
        what="fill", call="import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    )
    done = ended(tmp_path, script)
    assert done.stderr == "stopped\n" and done.returncode != 0


def test_what_else_is_raised_while_points_are_worked_on_is_named(tmp_path):
    script = SCRIPT.format(what="raise_another", call="points.work_through([1], begin)")
    script = script.replace("def begin", "def raise_another():\n    int('x')\n\ndef begin")
    done = ended(tmp_path, script)
    assert "PointsStopped: ValueError: invalid literal for int()" in done.stderr
    assert done.stderr.endswith("failed, see job.log\n")
