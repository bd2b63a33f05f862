"""Archives that data sets come in: fetched from their publishers, verified, unpacked.

``python -m ecqx.tasks.download NAME FOLDER`` fetches the archive of the data set NAME into the data
folder FOLDER, and goes on where an earlier call was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path

_CHUNK = 1 << 20  # bytes
_PATIENCE = 60  # seconds without a byte until a connection counts as lost
_SHOWN_EVERY = 0.05  # of the file


def fetch(url: str, path: Path, digest: str) -> Path:
    """Download a file, unless it is there already.

    What has arrived is kept beside ``path`` under the suffix ``.part``; the next call asks for the
    rest of it. Progress is shown on standard error.

    Parameters
    ----------
    url : str
    path : Path, where the file belongs; folders are made.
    digest : str, MD5 or SHA-256 digest of the file, in hexadecimal digits.

    Returns
    -------
    Path
        ``path``, which holds the file with this checksum.

    Raises
    ------
    OSError : no network, no such file there, an interrupted connection, or another checksum; one
        line that says what to do.
    """
    path = Path(path)
    if path.exists():
        return verify(path, url, digest)
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _receive(url, part)
    except (OSError, HTTPException) as error:
        cause = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise OSError(
            f"cannot fetch {url}: {cause}; run again to continue, or put the file at {path}"
        ) from error
    if (found := checksum(part, digest)) != digest:
        part.unlink()
        raise OSError(
            f"the file from {url} has the {_algorithm(digest)} checksum {found}, expected "
            f"{digest}; it was discarded, run again or put the file at {path}"
        )
    return part.replace(path)


def verify(path: Path, url: str, digest: str) -> Path:
    """The path, if the file there has this MD5 or SHA-256 checksum.

    Raises
    ------
    OSError : it has another one.
    """
    if (found := checksum(path, digest)) != digest:
        raise OSError(
            f"{path}: is damaged, its {_algorithm(digest)} checksum is {found}, expected {digest}; "
            f"delete it and download it again from {url}"
        )
    return path


def checksum(path: Path, like: str) -> str:
    """Digest of a file of the same kind as ``like``, MD5 or SHA-256, in hexadecimal digits."""
    with open(path, "rb") as file:
        # guards against accidents, not against forgery
        found = hashlib.file_digest(
            file, lambda: hashlib.new(_algorithm(like), usedforsecurity=False)
        )
    return found.hexdigest()


def _algorithm(digest: str) -> str:
    """What gives digests of this length."""
    return {32: "MD5", 64: "SHA256"}[len(digest)]


def _receive(url: str, part: Path) -> None:
    """Append to ``part`` what it lacks; an OSError if the connection ends before that."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_PATIENCE
        )
    except urllib.error.HTTPError as error:
        if error.code == 416:  # everything has arrived: the requested range is empty
            return
        raise
    with response:
        if response.status != 206:  # the server ignores the range and sends the whole file
            have = 0
        total = have + response.length if response.length is not None else None
        with open(part, "ab" if have else "wb") as file:
            _copy(response, file, have, total, part.stem)
        received = part.stat().st_size
    if total is not None and received < total:
        raise OSError(f"the connection ended after {received} of {total} bytes")


def _copy(response: HTTPResponse, file, have: int, total: int | None, name: str) -> None:
    step = max(_CHUNK, int(_SHOWN_EVERY * (total or 0)))
    shown = have
    while chunk := response.read(_CHUNK):
        file.write(chunk)
        have += len(chunk)
        if have - shown >= step or have == total:
            shown = have
            of_total = f" of {total / 1e6:.1f} MB, {have / total:.0%}" if total else " MB"
            print(f"{name}: {have / 1e6:.1f}{of_total}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Archive:
    """A tar archive and the folder it unpacks to, both in the data folder.

    Parameters
    ----------
    url : str, of HTTPS; its last part is the archive's file name.
    digest : str, its SHA-256, in hexadecimal digits.
    folder : str, path below the data folder of what a data set reads.
    content : tuple of str, files and folders that must be in ``folder``.
    inside : str, optional; path of the same in the archive, where it is another one.
    """

    url: str
    digest: str
    folder: str
    content: tuple[str, ...]
    inside: str | None = None

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]

    def missing(self, name: str, root: Path | None) -> str | None:
        """What to put where, in one line, unless folder or archive lie in the data folder.

        Parameters
        ----------
        name : str, the data set's, for the command that fetches it.
        root : Path, optional; the data folder.
        """
        if root is None:
            return (
                "name the folder that holds them as data_root (or in the environment variable "
                f"ECQX_DATA) and put {self.file_name} there, from {self.url}"
            )
        folder, archive = Path(root) / self.folder, Path(root) / self.file_name
        if folder.is_dir():
            absent = [folder / part for part in self.content if not (folder / part).exists()]
            if not absent:
                return None
            return f"{absent[0]} is missing: download {folder} again from {self.url}"
        if archive.is_file():
            return None
        return (
            f"put {self.file_name} from {self.url}, or its content as folder {self.folder}, into "
            f"{root}; `python -m ecqx.tasks.download {name} {root}` fetches it"
        )

    def fetch(self, root: Path) -> Path:
        """Download the archive into the data folder; see :func:`fetch`."""
        return fetch(self.url, Path(root) / self.file_name, self.digest)

    def unpacked(self, root: Path) -> Path:
        """The folder, unpacked from the archive if it is not there yet.

        Raises
        ------
        FileNotFoundError : there is no archive either.
        OSError : the archive is damaged, or does not hold the folder.
        """
        folder = Path(root) / self.folder
        if not folder.is_dir():
            archive = verify(Path(root) / self.file_name, self.url, self.digest)
            # moved into place in one step: a partial folder would be taken for a complete one
            with tempfile.TemporaryDirectory(dir=root, prefix=".unpacking-") as scratch:
                everything = Path(scratch) / "content"
                try:
                    with tarfile.open(archive) as content:
                        content.extractall(everything, filter="data")
                except (tarfile.TarError, EOFError, zlib.error) as error:
                    raise OSError(f"{archive}: cannot be unpacked: {error}") from error
                inside = self.inside or self.folder
                if not (everything / inside).is_dir():
                    raise OSError(f"{archive}: holds no folder {inside}")
                folder.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(everything / inside, folder)
        return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the archive of one data set; 0, or 1 and one line on standard error."""
    from ecqx.tasks import datasets

    parser = argparse.ArgumentParser(
        prog="python -m ecqx.tasks.download", description="Fetch the archive of a data set."
    )
    parser.add_argument("name", help="data set")
    parser.add_argument("folder", type=Path, help="data folder (data_root) to put it into")
    options = parser.parse_args(arguments)
    try:
        module = datasets.get(options.name)
        if not hasattr(module, "ARCHIVE"):
            raise ValueError(f"{options.name} has no archive to fetch")
        print(module.ARCHIVE.fetch(options.folder))
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
