"""The subset of CIFAR-10 that config/realdata.yaml trains on, made of the published archive.

The first images of each official batch: 4,000 of the first and 1,017 of each other training batch,
and 1,017 of the test batch, in their order. Sixteen times less than all of it is what two cores
train on within minutes.

Source of the images: [krizhevsky2009cifar].
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ecqx.tasks.datasets import cifar10

FILE_NAME = "cifar10_subset.npz"
PER_BATCH = 10_000  # images of an official batch
TAKEN = (4000, 1017, 1017, 1017, 1017)  # of the training batches, in their order
TAKEN_FOR_TEST = 1017
DIGEST = "07238c3a6dd097b2fcaf7b0e834c38bb44a5f0d9daf9e8c1f73d34548f550c13"


def subset(root: Path) -> dict[str, np.ndarray]:
    """The arrays of the subset.

    Parameters
    ----------
    root : Path, the folder that holds the archive, or ``cifar-10-batches-py`` as torchvision
        unpacks it.

    Returns
    -------
    dict
        x_train (8068, 32, 32, 3) and x_test (1017, 32, 32, 3), uint8; y_train and y_test, uint8.

    Raises
    ------
    FileNotFoundError : neither is there.
    OSError : the archive or a file of the folder is damaged; it is named.
    """
    train, test = cifar10.official(root)
    batches = [PER_BATCH * batch + np.arange(count) for batch, count in enumerate(TAKEN)]
    chosen = np.concatenate(batches)
    return {
        "x_train": train.data[chosen],
        "y_train": np.array(train.targets, dtype=np.uint8)[chosen],
        "x_test": test.data[:TAKEN_FOR_TEST],
        "y_test": np.array(test.targets[:TAKEN_FOR_TEST], dtype=np.uint8),
    }


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over name, type, shape and content of the arrays, in the order of their names."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        whole.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the subset; 0, or 1 and one line on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m ecqx.tasks.cifar10_subset",
        description="Make the subset of CIFAR-10 that config/realdata.yaml trains on.",
    )
    parser.add_argument(
        "folder", type=Path, help="data folder (data_root) with the archive of CIFAR-10"
    )
    options = parser.parse_args(arguments)
    path = options.folder / FILE_NAME
    try:
        arrays = subset(options.folder)
        if (found := digest(arrays)) != DIGEST:
            raise ValueError(f"{path}: SHA-256 of the arrays is {found}, expected {DIGEST}")
        np.savez_compressed(path, **arrays)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
