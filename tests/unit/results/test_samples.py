"""Files of single samples."""

import numpy as np
import pandas as pd
import pytest

from ecqx.results import samples

RUN = {"dataset": "digits", "model": "m", "method": "ecq", "point": "p", "seed": 3}


def columns(n):
    return {
        "sample": np.arange(n), "target": np.arange(n) % 10, "explainer": np.array(["lrp"] * n),
        "network": np.array(["own"] * n), "map": np.array(["own", "reference"] * (n // 2)),
        "signed": np.ones(n, bool), "value": np.linspace(-1, 1, n, dtype=np.float32),
    }  # fmt: skip


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "gains.parquet"
    own = columns(6)
    own["value"][2] = np.nan
    tables = [samples.table_of("gains", RUN | {"seed": seed}, own) for seed in (3, 4)]
    samples.write(path, "gains", [tables[0], samples.table_of("gains", RUN, {}), tables[1]])
    found = pd.read_parquet(path)
    assert list(found) == samples.SCHEMAS["gains"].names
    assert found["seed"].tolist() == [3] * 6 + [4] * 6
    for name, values in own.items():
        assert found[name].tolist()[:2] == values.tolist()[:2]
    np.testing.assert_array_equal(found["value"][6:], own["value"])
    assert samples.read(path, "gains").num_rows == 12
    again = tmp_path / "again.parquet"
    samples.write(again, "gains", tables)
    assert again.read_bytes() == path.read_bytes()


def test_groups_of_rows_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "_ROWS_AT_ONCE", 10)
    tables = [samples.table_of("gains", RUN | {"seed": seed}, columns(6)) for seed in range(5)]
    samples.write(tmp_path / "f", "gains", tables)
    groups = samples.parquet.ParquetFile(tmp_path / "f")
    assert [groups.metadata.row_group(k).num_rows for k in range(groups.num_row_groups)] == [
        12, 12, 6
    ]  # fmt: skip
    assert samples.read(tmp_path / "f", "gains").to_pandas()["seed"].nunique() == 5


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(ValueError, match=r"x\.parquet: "):
        samples.read(path, "gains")
    pd.DataFrame({"value": [1.0]}).to_parquet(path)
    with pytest.raises(ValueError, match=r"x\.parquet: "):
        samples.read(path, "gains")
