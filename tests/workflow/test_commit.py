"""Which commit results were made by."""

import shutil
import subprocess

import pytest
from pipeline.jobs import computing

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="no git")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setattr(computing, "_ROOT", str(tmp_path))
    assert computing.git_commit() is None
    (tmp_path / ".gitignore").write_text("results/\n")
    (tmp_path / "method.py").write_text("")
    for arguments in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=b",
                      "commit", "-q", "-m", "first"]):  # fmt: skip
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    return tmp_path


def test_the_commit_alone(repository):
    (repository / "results").mkdir()
    (repository / "results/run.json").write_text("")
    done = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, text=True
    )
    assert computing.git_commit() == done.stdout.strip()


@pytest.mark.parametrize("name", ["method.py", "mine.py"])
def test_files_that_differ_or_are_new_are_told(repository, name):
    (repository / name).write_text("# mine\n")
    assert computing.git_commit().endswith("-dirty")
