"""Weights that torchvision publishes for networks trained on ImageNet, as a start of training."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn


@dataclass(frozen=True)
class Weights:
    """A published file of weights.

    It is looked for in the data folder, then where torch keeps its downloads
    (``torch.hub.get_dir()``).

    Parameters
    ----------
    url : str, its file name ends in the beginning of the file's SHA-256 digest: ``name-<hex>.pth``.
    head : str, name of the layer that tells ImageNet's classes apart; it is not taken over.
    published_name : callable (str) -> str, from a key of the network's state dict to that of the
        file's.
    """

    url: str
    head: str
    published_name: Callable[[str], str]

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]

    def missing(self, root: Path | None) -> str | None:
        """What to put where, in one line, if the file is in neither place."""
        if any(path.is_file() for path in self._places(root)):
            return None
        return f"put {self.file_name} from {self.url} into {self._places(root)[0].parent}"

    def load_into(self, model: nn.Module, root: Path | None) -> str:
        """Give the network the published weights, except in its head.

        Parameters
        ----------
        model : nn.Module, it is altered. Its head keeps the weights it has.
        root : Path, optional; the data folder.

        Returns
        -------
        str
            The file's name.

        Raises
        ------
        FileNotFoundError : the file is in neither place.
        ValueError : it is damaged, or the weights do not fit the network.
        """
        if reason := self.missing(root):
            raise FileNotFoundError(reason)
        path = next(path for path in self._places(root) if path.is_file())
        self._verify(path)
        published = torch.load(path, map_location="cpu", weights_only=True)
        own = model.state_dict()
        for name, tensor in own.items():
            # older files do not count batches; nothing depends on that number
            if name.startswith(f"{self.head}.") or name.endswith("num_batches_tracked"):
                continue
            found = published.get(self.published_name(name))
            if found is None or found.shape != tensor.shape:
                what = "nothing" if found is None else f"shape {tuple(found.shape)}"
                raise ValueError(
                    f"{path}: {what} for {name} of the network, expected {tuple(tensor.shape)}"
                )
            tensor.copy_(found)
        return self.file_name

    def _places(self, root: Path | None) -> list[Path]:
        downloads = Path(torch.hub.get_dir()) / "checkpoints" / self.file_name
        return [downloads] if root is None else [Path(root) / self.file_name, downloads]

    def _verify(self, path: Path) -> None:
        expected = path.stem.rpartition("-")[2]
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(expected):
            raise ValueError(
                f"{path}: is damaged, its SHA-256 checksum begins with {found[: len(expected)]}, "
                f"expected {expected}; download it again from {self.url}"
            )
