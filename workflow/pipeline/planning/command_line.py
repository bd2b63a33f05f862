"""What the user asked of Snakemake, known while the Snakefile is read.

Snakemake tells a workflow its targets only after reading it, when it is too late to leave rules
out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from snakemake.cli import get_argument_parser


@dataclass(frozen=True)
class CommandLine:
    """The part of Snakemake's command line that the workflow depends on.

    Attributes
    ----------
    targets : rules and files asked for, empty for the default target. The target of a job that
        runs on a cluster node is among them.
    dry_run : whether nothing will be executed.
    """

    targets: tuple[str, ...]
    dry_run: bool


def read(argv: Sequence[str] | None = None) -> CommandLine:
    """Read arguments as Snakemake does, by default those of this process."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    known, _ = get_argument_parser().parse_known_args(arguments[:end])
    jobs = [job.rulename for job in known.target_jobs]
    return CommandLine((*known.targets, *jobs, *arguments[end + 1 :]), known.dryrun)
