"""How Snakemake was called, for what a workflow is told only after it has been read."""

from __future__ import annotations

import contextlib
import io
import sys
from argparse import Namespace


def arguments() -> Namespace:
    """The arguments of this process and of the profiles that they name, as Snakemake reads them."""
    from snakemake.cli import parse_args

    with contextlib.redirect_stderr(io.StringIO()):  # which profiles are used has been said
        _, known = parse_args(sys.argv[1:])
    return known


def executes() -> bool:
    """Whether jobs are run: neither a dry run nor a question about the workflow."""
    known = arguments()
    return not known.dryrun and (known.cores is not None or known.jobs is not None)


def executor() -> str:
    """The name of the plugin that runs jobs.

    A workflow is told its executor after it has been read, so the command line is read again.
    """
    return arguments().executor or "local"
