import dataclasses
import hashlib
import io
import re
import socket
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ecqx.tasks import datasets, download, models
from ecqx.tasks.download import Archive, fetch

CONTENT = bytes(range(256)) * 20_000  # 5 MB, so that progress has several steps
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; /plain knows no ranges, /broken hangs up after a tenth."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and self.path != "/plain" else 0
        if self.path == "/absent":
            self.send_error(404)
            return
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(CONTENT) // 10] if self.path == "/broken" else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def one_line(caught):
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def test_it_arrives_and_is_not_fetched_again(server, tmp_path, capsys):
    path = tmp_path / "new" / "file.bin"
    assert fetch(f"{server.url}/file", path, MD5) == path
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]
    captured = capsys.readouterr()
    shown = captured.err.splitlines()
    assert len(shown) >= 3 and shown[-1] == "file.bin: 5.1 of 5.1 MB, 100%"
    assert captured.out == ""
    fetch(f"{server.url}/file", path, MD5)
    assert server.asked == [None]


def test_an_interrupted_download_is_named_and_gone_on_with(server, tmp_path):
    path = tmp_path / "file.bin"
    with pytest.raises(OSError, match="ended after 512000 of 5120000 bytes; run again") as caught:
        fetch(f"{server.url}/broken", path, MD5)
    assert str(path) in one_line(caught) and not path.exists()
    with pytest.raises(OSError, match="ended after 1024000 of 5120000 bytes"):
        fetch(f"{server.url}/broken", path, MD5)
    fetch(f"{server.url}/file", path, MD5)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=512000-", "bytes=1024000-"]


def test_a_server_without_ranges_sends_all_of_it_again(server, tmp_path):
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(b"x" * 1000)
    fetch(f"{server.url}/plain", path, MD5)
    assert path.read_bytes() == CONTENT


def test_a_part_that_is_complete_is_taken(server, tmp_path):
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(CONTENT)
    fetch(f"{server.url}/file", path, MD5)
    assert path.read_bytes() == CONTENT


def test_a_sha256_is_known_by_its_length(server, tmp_path):
    path = tmp_path / "file.bin"
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert fetch(f"{server.url}/file", path, sha256) == path
    path.write_bytes(b"other")
    with pytest.raises(OSError, match=f"its SHA256 checksum is .*, expected {sha256}"):
        fetch(f"{server.url}/file", path, sha256)


def test_what_has_another_checksum_is_discarded(server, tmp_path):
    path = tmp_path / "file.bin"
    path.with_name("file.bin.part").write_bytes(b"x" * 1000)
    with pytest.raises(OSError, match=f"expected {MD5}; it was discarded") as caught:
        fetch(f"{server.url}/file", path, MD5)
    one_line(caught)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named_and_kept(server, tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"other")
    with pytest.raises(OSError, match="is damaged") as caught:
        fetch(f"{server.url}/file", path, MD5)
    assert str(path) in one_line(caught)
    assert path.read_bytes() == b"other" and server.asked == []


def test_without_network_one_line_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.bin"
        with pytest.raises(OSError, match="refused") as caught:
            fetch(url, tmp_path / "file.bin", MD5)
    text = one_line(caught)
    assert url in text and f"put the file at {tmp_path / 'file.bin'}" in text


def test_a_file_that_the_server_lacks(server, tmp_path):
    with pytest.raises(OSError, match="Not Found") as caught:
        fetch(f"{server.url}/absent", tmp_path / "file.bin", MD5)
    one_line(caught)


@pytest.fixture
def archive(tmp_path):
    """An archive of one file in a folder of a folder, and a data folder that holds it."""
    root = tmp_path / "data"
    root.mkdir()
    with tarfile.open(root / "things.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("outer/inner/thing.txt")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"abc"))
    md5 = hashlib.md5((root / "things.tar.gz").read_bytes()).hexdigest()
    return Archive("http://example.org/pub/things.tar.gz", md5, "outer/inner", ("thing.txt",)), root


def test_an_archive_is_unpacked_once(archive):
    archive, root = archive
    folder = archive.unpacked(root)
    assert (folder / "thing.txt").read_text() == "abc"
    assert sorted(p.name for p in root.iterdir()) == ["outer", "things.tar.gz"]
    (root / "things.tar.gz").unlink()
    assert archive.unpacked(root) == folder


def test_a_damaged_archive_is_named(archive):
    archive, root = archive
    path = root / "things.tar.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(OSError, match="is damaged") as caught:
        archive.unpacked(root)
    assert str(path) in one_line(caught)
    cut = dataclasses.replace(archive, digest=hashlib.md5(path.read_bytes()).hexdigest())
    with pytest.raises(OSError, match="cannot be unpacked") as caught:
        cut.unpacked(root)
    assert str(path) in one_line(caught)
    assert [p.name for p in root.iterdir()] == ["things.tar.gz"]


def test_the_content_of_an_archive_may_have_no_folder(archive):
    """As that of Speech Commands; its checksum is a SHA-256."""
    archive, root = archive
    sha256 = hashlib.sha256((root / "things.tar.gz").read_bytes()).hexdigest()
    whole = dataclasses.replace(archive, digest=sha256, folder="above/below", inside=".")
    folder = whole.unpacked(root)
    assert folder == root / "above/below"
    assert (folder / "outer/inner/thing.txt").read_text() == "abc"
    assert sorted(p.name for p in root.iterdir()) == ["above", "things.tar.gz"]


def member(name, kind=tarfile.REGTYPE, target=""):
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, target
    return found


@pytest.mark.parametrize(
    "members",
    [
        [member("../evil")],
        [member("outer/../../evil")],
        [member("outer/inner/evil", tarfile.SYMTYPE, "/etc/passwd")],
        [member("outer/inner/evil", tarfile.SYMTYPE, "../../../evil")],
        [member("outer/inner/evil", tarfile.LNKTYPE, "../evil")],
        [member("outer/inner", tarfile.SYMTYPE, "../.."), member("outer/inner/evil")],
        [member("outer/inner/evil", tarfile.CHRTYPE)],
        [member("outer/inner/evil", tarfile.FIFOTYPE)],
    ],
    ids=[
        "up",
        "down and up",
        "absolute link",
        "link up",
        "hard link up",
        "by a link",
        "device",
        "pipe",
    ],
)
def test_an_archive_that_would_write_elsewhere_is_refused(archive, members):
    archive, root = archive
    path = root / "things.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for each in members:
            tar.addfile(each)
    own = dataclasses.replace(archive, digest=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(OSError, match="cannot be unpacked") as caught:
        own.unpacked(root)
    assert str(path) in one_line(caught)
    assert [p.name for p in root.iterdir()] == ["things.tar.gz"]
    assert not list(root.parent.rglob("evil"))


def test_absolute_names_in_an_archive_are_taken_below_its_folder(archive):
    archive, root = archive
    path, evil = root / "things.tar.gz", root.parent / "evil"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member("outer/inner/thing.txt"))
        tar.addfile(member(str(evil)))
    own = dataclasses.replace(archive, digest=hashlib.sha256(path.read_bytes()).hexdigest())
    assert [p.name for p in own.unpacked(root).iterdir()] == ["thing.txt"]
    assert not evil.exists()


def test_archives_and_weights_are_fetched_by_https_and_verified_by_sha256():
    archives = [getattr(datasets.get(name), "ARCHIVE", None) for name in datasets.names()]
    archives = [archive for archive in archives if archive is not None]
    assert len(archives) >= 3
    for archive in archives:
        assert archive.url.startswith("https://") and len(archive.digest) == 64, archive
    weights = [getattr(models.get(name), "WEIGHTS", None) for name in models.names()]
    weights = [each for each in weights if each is not None]
    assert len(weights) >= 2 and all(each.url.startswith("https://") for each in weights)


def test_an_archive_of_something_else_is_named(archive):
    archive, root = archive
    other = dataclasses.replace(archive, folder="elsewhere")
    with pytest.raises(OSError, match="holds no folder elsewhere"):
        other.unpacked(root)


def test_what_is_missing_is_said_in_one_line(archive, tmp_path):
    archive, root = archive
    assert archive.missing("things", root) is None
    assert "data_root" in archive.missing("things", None)
    (tmp_path / "empty").mkdir()
    line = archive.missing("things", tmp_path / "empty")
    for part in ("things.tar.gz", archive.url, "outer/inner", str(tmp_path / "empty")):
        assert part in line
    assert f"python -m ecqx.tasks.download things {tmp_path / 'empty'}" in line
    assert "\n" not in line
    folder = archive.unpacked(root)
    (root / "things.tar.gz").unlink()
    assert archive.missing("things", root) is None
    (folder / "thing.txt").unlink()
    assert archive.missing("things", root).startswith(f"{folder / 'thing.txt'} is missing")


def test_the_command_fetches_the_archive_of_a_data_set(server, tmp_path, monkeypatch, capsys):
    module = datasets.get("digits")
    archive = Archive(f"{server.url}/file", MD5, "folder", ())
    monkeypatch.setattr(module, "ARCHIVE", archive, raising=False)
    assert download.main(["digits", str(tmp_path)]) == 0
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert capsys.readouterr().out.strip() == str(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "message"),
    [("digits", "digits has no archive to fetch"), ("nosuch", "unknown dataset 'nosuch'")],
)
def test_the_command_says_what_it_cannot_fetch(tmp_path, capsys, name, message):
    assert download.main([name, str(tmp_path)]) == 1
    assert message in capsys.readouterr().err
