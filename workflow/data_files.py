"""Ask data sets whether their files are there: ``python -m workflow.data_files NAME...``.

Prints a JSON object, data set -> what is missing, of those that miss something.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from ecqx.tasks import datasets


def missing(names: Iterable[str]) -> dict[str, str]:
    """What ``missing(root)`` of each data set's module says, for those where it says anything.

    A module that cannot be imported misses something too: its error is what is said.
    """
    found = {}
    for name in names:
        try:
            reason = datasets.get(name).missing(None)
        except Exception as error:  # whatever a module raises, the user needs one line of it
            reason = f"{type(error).__name__}: {error}"
        if reason:
            found[name] = " ".join(reason.split())
    return found


if __name__ == "__main__":
    json.dump(missing(sys.argv[1:]), sys.stdout)
