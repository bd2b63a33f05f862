"""Prepared data that were cut off or damaged are noticed and prepared again."""

import os
import subprocess

import pytest
from pipeline import checksum

from tests.workflow.conftest import SMOKE, job_counts


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "data.pt"
    path.write_bytes(bytes(range(256)) * 64)
    checksum.write(path)
    return path


def later(path):
    """As if the file had been written a second after its checksum."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def test_sha256sum_agrees(file):
    done = subprocess.run(
        ["sha256sum", "-c", "data.pt.sha256"], cwd=file.parent, capture_output=True, text=True
    )
    assert done.stdout == "data.pt: OK\n"


def test_what_is_unchanged_is_intact(file):
    assert checksum.intact(file)
    later(file)
    assert checksum.intact(file), "the same content at another time"


def test_what_is_changed_is_not(file):
    content = file.read_bytes()
    for damaged in (content[:-1], b"", content[:100] + b"x" + content[101:], content + b"x"):
        file.write_bytes(damaged)
        later(file)
        assert not checksum.intact(file)
    file.unlink()
    assert not checksum.intact(file)


def test_what_is_changed_is_noticed_whatever_its_time_says(file):
    """As in a copy that keeps times: of an interrupted one the end is missing, or zeros."""
    content, status = file.read_bytes(), file.stat()
    for damaged in (content[:-1], content[:100] + bytes(400) + content[500:]):
        file.write_bytes(damaged)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert not checksum.intact(file)


@pytest.mark.parametrize("text", ["", "garbage\n", None])
def test_without_a_checksum_nothing_is_known(file, text):
    sidecar = file.with_name("data.pt.sha256")
    sidecar.unlink() if text is None else sidecar.write_text(text)
    later(file)
    assert not checksum.intact(file)


@pytest.mark.slow
def test_truncated_data_are_prepared_again(checkout):
    target = "results/smoke/data/digits/data.pt"
    path = checkout.folder / target

    def call(*more):
        done = checkout.snakemake(target, "--cores", "1", *SMOKE, *more)
        assert done.returncode == 0, done.stdout
        return done.stdout

    assert job_counts(call()) == {"prepare_data": 1}
    whole = path.read_bytes()
    assert job_counts(call()) == {}
    path.write_bytes(whole[: len(whole) // 2])
    said = call()
    assert f"{target}: differs from its checksum, is prepared again" in said
    assert job_counts(said) == {"prepare_data": 1}
    assert path.read_bytes() == whole
