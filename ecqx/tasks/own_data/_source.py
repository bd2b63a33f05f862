"""What all kinds of own data have in common: a name, a path, and how their values are checked."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecqx.tasks.locating import locate

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from ecqx.tasks.data import Dataset

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True)
class Source(ABC):
    """Own data of any kind.

    Parameters
    ----------
    name : str, the data set's name in paths and tables: letters, digits and underscores, no digit
        first.
    path : str, where the data are: absolute, below the home folder (~), or relative to the data
        folder.

    Raises
    ------
    ValueError : a value is not what it can be; the message starts with the field.
    """

    name: str
    path: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(
                f"name: got {self.name!r}, expected letters, digits and underscores, no digit first"
            )
        if not isinstance(self.path, str) or not self.path:
            raise ValueError(f"path: got {self.path!r}, expected the path of the data")

    @abstractmethod
    def check(self, root: Path | None) -> None:
        """ValueError naming file and expectation if, without reading all of it, data are wrong."""

    @abstractmethod
    def prepare(self, seed: int, root: Path | None) -> Dataset:
        """The data set; what is drawn at random follows from ``seed`` alone.

        Raises
        ------
        ValueError : the data are not there or not what they should be; the file is named.
        """

    @property
    def augment(self) -> Callable[[Tensor, Generator], Tensor] | None:
        """Random variations of a batch of training inputs; None for none."""
        return None

    def missing(self, root: Path | None) -> str | None:
        """One line on what is missing or wrong; None if nothing is, as far as a look can tell."""
        try:
            self.check(root)
        except (ValueError, OSError) as error:
            return str(error)
        return None

    def unread(self, root: Path | None) -> str | None:
        """One line on the files there that are not read; None if all are."""
        return None

    def locate(self, root: Path | None) -> Path:
        """The path, see :func:`ecqx.tasks.locating.locate`."""
        return locate(self.path, root)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the path in front of a ValueError about a data set, which does not know its files."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_class_name(where: str, name: str) -> None:
    """ValueError unless the name is a text that tables, figures and the page can hold."""
    if not name.isprintable():
        # what is no UTF-8 in the name of a folder becomes surrogates
        raise ValueError(f"{where}: got the class {name!r}, expected printable characters in UTF-8")


def check_integer(field: str, value: Any, low: int, high: int) -> None:
    """ValueError naming the field unless the value is an integer from ``low`` to ``high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{field}: got {value!r}, expected an integer from {low} to {high}")


def check_number(field: str, value: Any, low: float, high: float) -> None:
    """ValueError naming the field unless the value is a number from ``low`` to ``high``."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise ValueError(f"{field}: got {value!r}, expected a number from {low} to {high}")


def check_share(field: str, value: Any) -> None:
    """ValueError naming the field unless the value lies between 0 and 1."""
    if not isinstance(value, float) or not 0 < value < 1:
        raise ValueError(f"{field}: got {value!r}, expected a number between 0 and 1")


def check_choice(field: str, value: Any, choices: tuple[Any, ...]) -> None:
    """ValueError naming the field unless the value is one of the choices."""
    # 1 == True
    if value not in choices or isinstance(value, bool):
        listed = ", ".join(map(str, choices))
        raise ValueError(f"{field}: got {value!r}, expected one of {listed}")
