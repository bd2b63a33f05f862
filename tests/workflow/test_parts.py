"""The plain Python that the workflow is made of."""

import subprocess
import sys

import pytest
import yaml
from pipeline.jobs import rows, table_checks
from pipeline.planning import run_table, sources, validation

from tests.workflow.conftest import ENVIRONMENT, ROOT


def test_points_are_products_of_blocks_in_order():
    grid = [{"bits": [4, 2], "lam": [0.1, 0.2]}, {"bits": 2, "lam": 0.5}, {}]
    points = run_table.expand_grid(grid)
    assert list(points) == [
        "bits~4_lam~0.1", "bits~4_lam~0.2", "bits~2_lam~0.1", "bits~2_lam~0.2",
        "bits~2_lam~0.5", "default",
    ]  # fmt: skip
    assert points["bits~2_lam~0.5"] == {"bits": 2, "lam": 0.5}
    assert isinstance(points["bits~2_lam~0.1"]["bits"], int)


def test_point_names_hold_booleans_and_text():
    name = run_table.point_name(
        {"merge": True, "window": "below", "lam": 1e-5, "qp": -20, "layers": "1,4.conv"}
    )
    assert name == "merge~true_window~below_lam~1e-05_qp~-20_layers~1,4.conv"


@pytest.mark.parametrize(
    "grid",
    [[{"bits": [2, 2]}], [{"bits": 2}, {"bits": [3, 2]}], [{"a": 1, "b": 2}, {"b": 2, "a": 1}]],
)
def test_equal_points_are_refused(grid):
    with pytest.raises(ValueError, match="again.*expected distinct points"):
        run_table.expand_grid(grid)


def test_text_that_a_path_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="window: got 'a/b'"):
        run_table.point_name({"window": "a/b"})


def test_chunks_keep_order_and_lose_nothing():
    names = [f"p{i}" for i in range(7)]
    parts = run_table.chunks(names, 3)
    assert [len(part) for part in parts] == [3, 3, 1] and sum(parts, []) == names


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1e-5", "write 1.0e-5"),
        ("-3E4", "write -3.0e+4"),
        ("2.5e3", "write 2.5e+3"),
        ("0.1", "write 0.1 without quotes"),
    ],
)
def test_numbers_as_text_are_told_how_to_be_written(text, written):
    grids = {"ecq": [{"lam": text}]}
    (line,) = validation._numbers_as_text("ecq", grids["ecq"])
    assert written in line and repr(text) in line
    number = line.rpartition("write ")[2].split()[0].rstrip(",")
    assert yaml.safe_load(number) == float(text)


@pytest.mark.parametrize("text", ["below", "e5", "1.2.3", "", "nan-ish"])
def test_other_text_is_a_value(text):
    assert list(validation._numbers_as_text("ecq", [{"window": text}])) == []


def test_validation_imports_no_torch():
    imports = "import sys, pipeline.planning.validation, pipeline.planning.plan"
    code = f"{imports}; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_reached_files_follow_imports(tmp_path):
    package = tmp_path / "ecqx"
    (package / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "",
        "a.py": "from ecqx.deep import c\n",
        "b.py": "import os\n",
        "deep/__init__.py": "",
        "deep/c.py": "def f():\n    import ecqx.deep.d\n",
        "deep/d.py": "from ecqx import a\n",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    (tmp_path / "script.py").write_text("import json\nfrom ecqx.a import something\n")
    assert sources.reached(tmp_path, "script.py") == [
        "ecqx/__init__.py", "ecqx/a.py", "ecqx/deep/__init__.py", "ecqx/deep/c.py",
        "ecqx/deep/d.py", "script.py",
    ]  # fmt: skip


def test_reached_files_of_the_scripts():
    compress = sources.reached(ROOT, "workflow/scripts/compress.py")
    assert "ecqx/compression/artefact/bitstream.py" in compress and "ecqx/seeding.py" in compress
    assert not any(path.startswith(("ecqx/evaluation", "ecqx/results")) for path in compress)
    tables = sources.reached(ROOT, "workflow/scripts/tables.py")
    assert not any(path.startswith(("ecqx/compression", "ecqx/tasks")) for path in tables)


def test_files_that_jobs_share_are_reached_too():
    """An edit of what a job does is an edit, wherever it stands."""
    for name in ("compress", "evaluate", "reference", "tables", "figures", "page", "collect"):
        reached = sources.reached(ROOT, f"workflow/scripts/{name}.py")
        assert f"workflow/scripts/{name}.py" in reached
        assert "workflow/pipeline/jobs/job.py" in reached
        assert "workflow/pipeline/planning/plan.py" not in reached


def test_rows_come_back_as_written(tmp_path):
    record = {
        "dataset": "d", "model": "m", "method": "x", "point": "a~0.1", "seed": 3,
        "status": "ok", "params": {"a": 0.1, "flag": True}, "train_s": 0.25,
    }  # fmt: skip
    record["peak_memory_bytes"] = 2**29
    measured = [column for column in rows.RUN_COLUMNS if column not in {*record, "bits"}]
    metrics = dict.fromkeys(measured, 1 / 3) | {"flips": 0.25}
    row = rows.run_row(record, metrics)
    other = rows.run_row(record | {"params": {"bits": 4}}, metrics | {"accuracy": float("nan")})
    rows.write_runs(tmp_path / "runs.csv", [row, other])
    first, second = rows.read(tmp_path / "runs.csv")
    assert list(first) == [*rows.RUN_COLUMNS, "p_a", "p_bits", "p_flag"]
    assert float(first["accuracy"]) == 1 / 3 and first["p_a"] == "0.1" and first["bits"] == ""
    assert second["accuracy"] == "" and second["bits"] == second["p_bits"] == "4"
    assert first["flips"] == "0.25" and int(first["peak_memory_bytes"]) == 2**29


SCHEMAS = yaml.safe_load((ROOT / "workflow/schemas/tables.schema.yaml").read_text())


def test_every_table_has_a_schema_for_each_of_its_columns():
    assert list(SCHEMAS)[2:] == list(rows.COLUMNS)
    for table, columns in rows.COLUMNS.items():
        assert tuple(SCHEMAS[table]["properties"]) == columns
    assert tuple(SCHEMAS["runs"]["properties"]) == rows.RUN_COLUMNS


def attribution(**changes):
    row = {
        "dataset": "d", "model": "m", "method": "1e5", "point": "True", "seed": "3",
        "explainer": "e", "metric": "cosine", "subset": "all", "signed": "True",
        "mean": "-0.25", "std": "", "n": "1", "degenerate": "0",
    }  # fmt: skip
    return row | changes


def test_sound_rows_pass_and_names_that_look_like_numbers_stay_names():
    sound = [attribution(), attribution(signed="False", mean="1e-08", std="0.1", n="40")]
    table_checks.check_columns("attributions", sound, SCHEMAS["attributions"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": "-1"}, "n: -1 is less than the minimum of 0"),
        ({"n": "2.5"}, "n: 2.5 is not of type 'integer'"),
        ({"mean": "high"}, "mean: 'high' is not of type"),
        ({"signed": "yes"}, "signed: 'yes' is not of type 'boolean'"),
        ({"subset": "some"}, r"subset: 'some' is not one of \['all', 'both_correct'\]"),
        ({"explainer": ""}, "explainer: '' should be non-empty"),
        ({"degenerate": ""}, "degenerate: None is not of type 'integer'"),
        ({"degenerate": None}, "degenerate: the row has no such column"),
    ],
)
def test_a_wrong_value_is_named_with_its_row(changes, message):
    table = [attribution(), attribution(seed="4", **changes)]
    with pytest.raises(ValueError, match=f"attributions: d/m/1e5/True/4: {message}"):
        table_checks.check_columns("attributions", table, SCHEMAS["attributions"])


def test_a_run_with_a_network_has_all_of_its_measures():
    row = dict.fromkeys(rows.RUN_COLUMNS, 1) | {
        "dataset": "d", "model": "m", "method": "x", "point": "p", "status": "ok", "flips": 0.5,
        "logit_distance": 0.5, "calibration_error": 0.1, "calibration_error_fp32": 0.1,
        "reason": "",
    }  # fmt: skip
    table_checks.check_runs([row], SCHEMAS["runs"])
    table_checks.check_runs([row | {"status": "diverged", "flips": None}], SCHEMAS["runs"])
    for changes, message in [
        ({"flips": None}, "flips: None is not of type 'number'"),
        ({"flips": 1.5}, "flips: 1.5 is greater than the maximum of 1"),
        ({"peak_memory_bytes": 0.5}, "peak_memory_bytes: 0.5 is not of type"),
    ]:
        with pytest.raises(ValueError, match=f"d/m/x/p/1: {message}"):
            table_checks.check_runs([row, row | changes], SCHEMAS["runs"])


def test_rows_with_columns_of_another_table_are_refused(tmp_path):
    with pytest.raises(ValueError, match="explainer"):
        rows.write("layers", tmp_path / "layers.csv", [{"explainer": "e"}])
