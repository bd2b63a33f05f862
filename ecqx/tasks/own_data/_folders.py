"""Folders with one folder per class, as they are or below train, validation and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecqx.tasks.own_data._source import check_class_name, check_share

if TYPE_CHECKING:
    import torch

SPLITS = ("train", "validation", "test")
Labelled = list[tuple[Path, int]]


@dataclass(frozen=True)
class Listing:
    """Which files there are.

    Parameters
    ----------
    folder : Path, that of the class folders of training.
    classes : tuple of str, names of the class folders, sorted.
    splits : dict, split -> its (file, label) by class and name. Without ``train`` among the folders
        all files are there.
    unread : dict, suffix -> number of the files that are not read, beside class folders too; hidden
        files are not counted.
    """

    folder: Path
    classes: tuple[str, ...]
    splits: dict[str, Labelled]
    unread: dict[str, int]

    def told(self) -> str | None:
        """One line on the files that are not read; None if all are."""
        if not self.unread:
            return None
        counts = ", ".join(
            f"{count} {suffix or 'without suffix'}" for suffix, count in sorted(self.unread.items())
        )
        number = sum(self.unread.values())
        return f"{self.folder}: {number} file{'s are' if number > 1 else ' is'} not read: {counts}"

    def first_files(self) -> list[Path]:
        """One of each class and split: a look at it finds what is wrong with all of them."""
        found: dict[tuple[str, int], Path] = {}
        for split, files in self.splits.items():
            for path, label in files:
                found.setdefault((split, label), path)
        return list(found.values())


def check_shares(validation: float, test: float) -> None:
    """ValueError naming the field unless both lie between 0 and 1 and leave some for training."""
    check_share("validation", validation)
    check_share("test", test)
    if validation + test >= 1:
        raise ValueError(f"test: got {test}, expected less than 1 - validation = {1 - validation}")


def list_files(folder: Path, suffixes: tuple[str, ...]) -> Listing:
    """The files with one of the suffixes (in either case); hidden files are left out.

    Raises
    ------
    ValueError : no folder, fewer than two classes, a class without files, or one that training
        lacks, or a folder that nothing would be read from: beside train, or in that of a class; or
        the name of a class is no text.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: is a file, expected a folder of class folders")
    inside = {path.name for path in _folders(folder)}
    if "train" in inside:
        if others := sorted(inside - set(SPLITS)):
            raise ValueError(
                f"{folder}: holds a folder {others[0]} beside train, "
                f"expected only {', '.join(SPLITS)}"
            )
        tops = {name: folder / name for name in SPLITS if name in inside}
    elif named := sorted(inside & set(SPLITS)):
        raise ValueError(f"{folder}: holds a folder {named[0]} but none called train")
    else:
        tops = {"train": folder}
    classes = tuple(path.name for path in _folders(tops["train"]))
    if len(classes) < 2:
        found = f"one class folder ({classes[0]})" if classes else "no class folders"
        raise ValueError(f"{tops['train']}: holds {found}, expected at least two")
    for name in classes:
        check_class_name(str(tops["train"]), name)
    beside = (path for top in {folder, *tops.values()} for path in _files(top))
    unread = Counter(path.suffix.lower() for path in beside)
    splits: dict[str, Labelled] = {}
    for name, top in tops.items():
        splits[name] = []
        for class_folder in _folders(top):
            if class_folder.name not in classes:
                raise ValueError(
                    f"{class_folder}: a class that train does not have, "
                    f"expected {', '.join(classes)}"
                )
            if inner := _folders(class_folder):
                raise ValueError(f"{class_folder}: holds a folder {inner[0].name}, expected files")
            inside = _files(class_folder)
            files = [path for path in inside if path.suffix.lower() in suffixes]
            unread.update(path.suffix.lower() for path in set(inside).difference(files))
            if not files:
                raise ValueError(f"{class_folder}: holds no file ending in {', '.join(suffixes)}")
            label = classes.index(class_folder.name)
            splits[name] += [(file, label) for file in files]
        if not splits[name]:
            raise ValueError(f"{top}: holds no class folders")
    return Listing(tops["train"], classes, splits, dict(unread))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.is_dir()]


def _files(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if not path.is_dir()]


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def complete_splits(
    listing: Listing,
    shares: dict[str, float],
    rng: torch.Generator,
    group_of: Callable[[Path], str] | None = None,
) -> dict[str, Labelled]:
    """Training, validation and test; those without a folder are drawn from the training files.

    Parameters
    ----------
    listing : Listing
    shares : dict, of the training files for "validation" and "test", where they have no folder.
    rng : torch.Generator
    group_of : callable, optional; files of one group (the clips of a speaker) stay in one split.
        Without it files are drawn one by one, class by class.

    Raises
    ------
    ValueError : a group is in two of the given splits, there are fewer of them than splits to be
        drawn, a split gets no file, or training none of a class.
    """
    import torch

    from ecqx.tasks.splitting import grouped_split, stratified_split

    if group_of is not None:
        _check_groups(listing, group_of)
    drawn = [name for name in SPLITS[1:] if name not in listing.splits]
    if not drawn:
        return listing.splits
    files = listing.splits["train"]
    labels = torch.tensor([label for _, label in files])
    wanted = [1 - sum(shares[name] for name in drawn), *(shares[name] for name in drawn)]
    if group_of is None:
        parts = stratified_split(labels, wanted, rng)
    else:
        parts = grouped_split(labels, _numbers(group_of(path) for path, _ in files), wanted, rng)
    own = {
        name: [files[index] for index in part.tolist()]
        for name, part in zip(("train", *drawn), parts, strict=True)
    }
    for name, part in own.items():
        if not part:
            raise ValueError(
                f"{listing.folder}: {len(files)} files leave none for {name}, "
                f"expected more files, or a folder {name}"
            )
    left = {label for _, label in own["train"]}
    for label, name in enumerate(listing.classes):
        if label not in left:
            raise ValueError(
                f"{listing.folder / name}: a share of {wanted[0]:g} leaves none of its "
                f"{int((labels == label).sum())} files for training, expected more "
                f"{'files' if group_of is None else 'speakers'}, or smaller validation and test"
            )
    return {name: (listing.splits | own)[name] for name in SPLITS}


def check_split(
    listing: Listing,
    shares: dict[str, float],
    group_of: Callable[[Path], str] | None = None,
) -> None:
    """What :func:`complete_splits` raises, as far as it does not depend on what is drawn."""
    import torch

    if group_of is None:
        # how many files of a class go where follows from the shares
        complete_splits(listing, shares, torch.Generator())
    else:
        _check_groups(listing, group_of)


def _numbers(groups: Iterable[str]) -> torch.Tensor:
    import torch

    groups = list(groups)
    number = {group: index for index, group in enumerate(sorted(set(groups)))}
    return torch.tensor([number[group] for group in groups])


def _check_groups(listing: Listing, group_of: Callable[[Path], str]) -> None:
    seen: dict[str, tuple[str, Path]] = {}
    for name, files in listing.splits.items():
        for path, _ in files:
            first, other = seen.setdefault(group_of(path), (name, path))
            if first != name:
                raise ValueError(
                    f"{path}: {group_of(path)} is heard in {first} too ({other}), "
                    "expected splits that share no speaker"
                )
    found = sorted({group_of(path) for path, _ in listing.splits["train"]})
    # one for training, and for each split that has no folder
    needed = 1 + len(SPLITS) - len(listing.splits)
    if len(found) < needed:
        raise ValueError(
            f"{listing.folder}: the names tell {len(found)} speaker{'s' * (len(found) > 1)} "
            f"({', '.join(found)}), expected at least {needed}"
        )
