import gzip

import pandas as pd
import pytest

from ecqx.results import files


@pytest.mark.parametrize("name", ["runs.csv", "runs.csv.gz", "tables/runs.csv"])
def test_tables_are_found(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert files.find(tmp_path, "runs") == path
    assert files.find(tmp_path, "attributions") is None


def test_attributions_are_read_small_and_whole(attributions, tmp_path):
    path = tmp_path / "attributions.csv.gz"
    attributions.to_csv(path, index=False)
    table = files.read_attributions(path)
    assert "std" not in table and len(table) == len(attributions)
    assert table["mean"].to_numpy() == pytest.approx(attributions["mean"].to_numpy(), rel=1e-14)
    for name in table.columns.drop("mean"):
        assert table[name].tolist() == attributions[name].tolist()
    plain = attributions[table.columns]
    assert table.memory_usage(deep=True).sum() < plain.memory_usage(deep=True).sum() / 3


def test_what_is_no_table_is_named(tmp_path):
    path = tmp_path / "runs.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n" * 1000)[:-20])
    with pytest.raises(ValueError, match="runs.csv.gz: "):
        files.read(path)
    plain = tmp_path / "attributions.csv"
    pd.DataFrame({"dataset": ["d"]}).to_csv(plain, index=False)
    with pytest.raises(ValueError, match="attributions.csv: .*mean"):
        files.read_attributions(plain)


def test_the_names_of_classes_are_text(tmp_path):
    names = ["NA", "null", "01", "=1+1", "$x$", "a,b"]
    path = tmp_path / "predictions.csv"
    pd.DataFrame({"class": names, "n": range(6)}).to_csv(path, index=False)
    table = files.read(path)
    assert table["class"].tolist() == names and table["n"].tolist() == list(range(6))
