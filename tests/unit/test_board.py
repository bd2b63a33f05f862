"""The board as a list; what is no entry. That entries are measured again: tests/workflow."""

import json

import pandas as pd
import pytest

from ecqx import board


def entry(folder, name, rows, mark=None):
    place = folder / name
    (place / "tables").mkdir(parents=True)
    columns = ["point", "seed", "status", "size_bytes", "compression_ratio", "accuracy",
               "accuracy_validation"]  # fmt: skip
    runs = pd.DataFrame(rows, columns=columns).assign(
        dataset="digits", model="net", method=name, accuracy_fp32=0.9, accuracy_validation_fp32=0.9
    )
    runs.to_csv(place / "tables/runs.csv", index=False)
    about = {"method": name, "by": "A. Name", "link": "https://example.org"}
    (place / "entry.json").write_text(json.dumps(about))
    if mark:
        (place / "verified.json").write_text(json.dumps({"on": mark}))


def test_a_row_is_the_smallest_point_within_a_point_in_validation(tmp_path):
    rows = [
        ("a", 0, "ok", 900, 10.0, 0.91, 0.90),
        ("a", 1, "ok", 900, 10.0, 0.90, 0.89),
        ("b", 0, "ok", 500, 20.0, 0.90, 0.90),  # within one point on average
        ("b", 1, "ok", 500, 22.0, 0.88, 0.88),
        ("c", 0, "ok", 300, 30.0, 0.95, 0.88),  # good on test data alone
        ("c", 1, "ok", 300, 30.0, 0.95, 0.88),
        ("d", 0, "ok", 100, 90.0, 0.90, 0.90),  # one of its seeds is lost
        ("d", 1, "diverged", None, None, None, None),
    ]
    entry(tmp_path, "mine", rows, mark="2026-01-02")
    entry(tmp_path, "other", rows[4:6])
    text = board.board(tmp_path)
    by = "[A. Name](https://example.org)"
    assert (
        f"| [mine](mine/method.py) | {by} | digits / net | 2 | 21.0 | 89.00 | 90.00 | 2026-01-02 |"
        in text
    )
    assert f"| [other](other/method.py) | {by} | digits / net | – | – | – | – | no |" in text


@pytest.mark.parametrize("command", ["add", "verify"])
def test_what_is_no_entry_is_told_in_one_line(tmp_path, capsys, command):
    place = tmp_path / "x"
    more = ["--results", str(tmp_path), "--method", "ecq", "--by", "me"]
    assert board.main([command, str(place), *(more if command == "add" else [])]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "README.md").exists()
