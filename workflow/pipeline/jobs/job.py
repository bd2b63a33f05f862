"""What the scripts of all jobs share: their log, where things lie, the receipt that they leave."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from pipeline import receipts
from pipeline.jobs import disk, time_limit
from pipeline.places import Places

# files of which the same recipe makes the same, on the same machine
_STEADY = {"data.pt", "model.pt", "reference.npz", "model.nnc"}


def open_log(path: str | Path) -> Callable[[str], None]:
    """Send all output of this process to a file from here on, that of C++ code included.

    An exception that ends the process is written to the file and to the console; that the disk is
    full, or that the user stopped it, in one line.

    Returns
    -------
    A function that writes a line to the log and to the console that the job was started from.
    """
    # names of files need not be text in UTF-8
    console = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")

    def tell(line: str) -> None:
        print(line)
        print(line, file=console)

    def tell_failure(kind: type, error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        if isinstance(error, KeyboardInterrupt):
            tell("stopped")
        elif disk.is_full(error):
            with contextlib.suppress(OSError):  # the log is on the same disk
                print(text)
            print(disk.told(path), file=console)
        else:
            tell(f"{text}failed, see {path}")

    sys.excepthook = tell_failure
    return tell


def begin(snakemake) -> Callable[[str], None]:
    """Open the log of a job that is one piece of work, and limit the time that it may take.

    Returns
    -------
    A function that writes a line to the log and to the console.
    """
    tell = open_log(snakemake.log[0])
    time_limit.end_after(snakemake.config["job_time_limit_s"], tell)
    return tell


def places_of(snakemake) -> Places:
    """Where everything lies."""
    return Places(Path(snakemake.config["results_dir"]))


def require_tables(places: Places, tell: Callable[[str], None]) -> None:
    """End the process, with one line for the user, unless results have been collected."""
    for name in ("runs", "attributions"):
        if not places.table(name).is_file():
            tell(f"{places.table(name)}: no such file; run the workflow first, or put it there")
            sys.exit(1)


def inputs_of(snakemake) -> dict[str, str]:
    """Key of what the job is made of -> digest of that, for its receipt.

    Raises
    ------
    FileNotFoundError : when there is no receipt for something
    """
    found = {}
    for key, (path, files) in snakemake.params.needs.items():
        receipt = receipts.read(Path(path))
        if receipt is None:
            raise FileNotFoundError(f"{path}: no receipt of {key} that can be read")
        found[key] = receipt.content(files)
    return found


def leave_receipt(snakemake, outputs: Iterable[Path], tell: Callable[[str], None]) -> None:
    """Write down what the job has made, as its last act.

    Receipts by the same recipe that are no longer true are removed. Where a file differs from what
    it was when it was made before, that is said: what had been made of it is planned by the next
    call.
    """
    if (path := snakemake.output.get("receipt")) is None:
        return  # something was made anew of whatever is there
    path = Path(path)
    results = places_of(snakemake).results
    made = receipts.made(snakemake.params.recipe, inputs_of(snakemake), outputs, results)
    for other in path.parent.glob(f"{snakemake.params.recipe}*.json"):
        earlier = receipts.read(other)
        if earlier is not None and earlier.content() == made.content():
            continue
        other.unlink()
        for name in _STEADY & {Path(output).name for output in made.outputs}:
            if earlier is not None and earlier.content([name]) != made.content([name]):
                tell(f"{name} is not what it was before: call once more for what was made of it")
    receipts.write(path, made)
