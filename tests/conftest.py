"""Settings of all property tests, and what the tests could not try on this machine."""

import os
from collections import Counter

from hypothesis import settings

# No deadlines: machines are busy. Continuous integration tries the same examples every time, so
# that what it says is about the change; everybody else keeps looking for new ones.
settings.register_profile("search", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "search")

GPU = ("computation on a GPU", "an NVIDIA GPU, its driver and a torch built for CUDA")
# Reason of a skip -> what is then not tested, what it needs.
NEEDS = {
    "no Chromium": (
        "the page in a browser",
        "Chromium and its driver (Debian: apt install chromium chromium-driver)",
    ),
    "needs pdflatex": (
        "whether the LaTeX tables compile",
        "pdflatex (Debian: apt install texlive-latex-recommended)",
    ),
    "no Slurm": (
        "a run on a cluster",
        "Slurm and Snakemake's executor for it (Debian: apt install slurm-wlm munge; "
        "pip install --no-deps -r profiles/slurm/requirements.txt)",
    ),
    "no GPU": GPU,
    "no CUDA device": GPU,
    "no git": ("the commit that results were made by", "git"),
    "asks Linux": ("peak memory of a process", "Linux"),
}


def pytest_terminal_summary(terminalreporter):
    """Say at the end what was skipped: nobody sees an `s` among thousands of dots."""
    skipped = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        what, need = NEEDS.get(reason, (None, None))
        skipped[f"{what}; needs {need}" if what else reason] += 1
    if skipped:
        terminalreporter.section("not tested")
    for line, count in sorted(skipped.items()):
        terminalreporter.write_line(f"{count} test{'s' if count > 1 else ''}: {line}")
