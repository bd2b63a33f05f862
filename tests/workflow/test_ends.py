"""What ends a job for no fault of its own is said in one line: a full disk, the user, its time."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.workflow.conftest import ENVIRONMENT, SMOKE

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


BEGIN = """
import time
from types import SimpleNamespace
from pipeline.jobs.job import begin

tell = begin(SimpleNamespace(log=["job.log"], config={{"job_time_limit_s": {limit}}}))
{work}
tell("done")
"""
IN_COMPILED_CODE = """
import ctypes
ctypes.PyDLL(None).sleep(60)  # it lets no other thread run Python
"""


def test_a_job_that_hangs_ends_in_one_line_and_its_log_says_where(tmp_path):
    done = ended(tmp_path, BEGIN.format(limit=0.3, work="time.sleep(60)"))
    assert done.returncode == 1
    assert done.stderr == "took longer than the limit of 0.3 s (job_time_limit_s)\n"
    assert 'File "<string>", line 7 in <module>' in (tmp_path / "job.log").read_text()


def test_a_job_that_hangs_in_compiled_code_ends_too(tmp_path):
    script = BEGIN.format(limit=0.1, work=IN_COMPILED_CODE)
    script = "from pipeline.jobs import time_limit\ntime_limit._GRACE_S = 0.2\n" + script
    done = ended(tmp_path, script)
    assert done.returncode == 1 and "in <module>" in (tmp_path / "job.log").read_text()


@pytest.mark.parametrize("limit", [30, None])
def test_a_job_within_its_time_ends_by_itself(tmp_path, limit):
    done = ended(tmp_path, BEGIN.format(limit=limit, work=""))
    assert (done.returncode, done.stderr) == (0, "done\n")


def test_a_job_of_points_that_does_not_start_ends(tmp_path):
    script = SCRIPT.format(what="", call="points.work_through([1], hang, None, 0.3)")
    hang = "def hang():\n    import time\n    time.sleep(60)\n\ndef begin"
    script = script.replace("def begin", hang)
    done = ended(tmp_path, script)
    assert "PointsStopped: took longer than the limit of 0.3 s" in done.stderr


HANGS = """
rule hang:
    output: 'never'
    log: 'hang.log'
    script: '../scripts/hang.py'
rule hang_in_a_shell:
    output: 'never_either'
    shell: 'trap "" TERM; touch shell; sleep 300 & wait; sleep 300'
"""
SCRIPT_THAT_HANGS = """
from pipeline.jobs import points
from pipeline.jobs.job import open_log
open_log(snakemake.log[0])

def begin():
    def work(point, lost):
        import pathlib, time
        pathlib.Path("begun").touch()
        time.sleep(300)
    return work

points.work_through([1], begin)
"""


def lives(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_signal_to_snakemake_alone_ends_all_that_it_started(checkout, number):
    checkout.append("workflow/rules/page.smk", HANGS)
    checkout.append("workflow/pipeline/ending.py", "\n_PATIENCE_S = 2.0\n")
    checkout.write("workflow/scripts/hang.py", SCRIPT_THAT_HANGS)
    command = ["-m", "snakemake", "--cores", "2", "hang", "hang_in_a_shell", *SMOKE]
    with open(checkout.folder / "output", "w") as output:
        running = subprocess.Popen(
            [sys.executable, *command], cwd=checkout.folder, stdout=output, stderr=output
        )
    marks = [checkout.folder / name for name in ("begun", "shell")]
    while not all(mark.exists() for mark in marks):
        assert running.poll() is None, (checkout.folder / "output").read_text()
        time.sleep(0.1)
    started = psutil.Process(running.pid).children(recursive=True)
    os.kill(running.pid, number)
    assert running.wait(20) == 1
    assert len(started) >= 4 and not any(map(lives, started))
    said = (checkout.folder / "output").read_text()
    assert "Terminating processes on user request" in said
    assert "Traceback" not in said and not (checkout.folder / "never").exists()
