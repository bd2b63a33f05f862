"""Networks of a run by name."""

import json

import pandas as pd
import pytest

import ecqx

ROWS = [
    # point, bytes, accuracy on validation, on test
    ("lam~0", 9000, 0.95, 0.90),
    ("lam~1", 6000, 0.94, 0.89),
    ("lam~2", 5000, 0.93, 0.95),  # better on test data, which must not choose
    ("lam~3", 4000, 0.94, 0.80),
]


@pytest.fixture
def results(tmp_path):
    rows = []
    for dataset, model in (("digits", "mlp_gsc"), ("mine", "a"), ("mine", "b")):
        for point, size, validation, accuracy in ROWS:
            for seed in (1, 2):
                rows.append(
                    {
                        "dataset": dataset, "model": model, "method": "ecq", "point": point,
                        "seed": seed, "status": "ok", "size_bytes": size + 10 * seed,
                        "accuracy": accuracy, "accuracy_fp32": 0.96,
                        "accuracy_validation": validation, "p_lam": 0.1,
                    }
                )  # fmt: skip
                folder = tmp_path / f"runs/{dataset}/{model}/ecq/{point}/seed~{seed}"
                folder.mkdir(parents=True)
                (folder / "model.nnc").write_bytes(b"x")
                (folder / "run.json").write_text(json.dumps({"seed": seed}))
    (tmp_path / "tables").mkdir()
    pd.DataFrame(rows).to_csv(tmp_path / "tables/runs.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    ("which", "point"),
    [("1MB", "lam~0"), ("8.9kB", "lam~3"), ("5015B", "lam~3"), ("6020B", "lam~3"),
     ("lam~2", "lam~2")],
)  # fmt: skip
def test_the_best_on_validation_that_is_small_enough(results, which, point):
    found = ecqx.load_result(f"digits/ecq@{which}", results)
    assert found.folder == results / f"runs/digits/mlp_gsc/ecq/{point}/seed~1"
    assert found.artefact.read_bytes() == b"x" and found.record == {"seed": 1}
    assert ecqx.load_result(f"digits/mlp_gsc/ecq@{which}", results, seed=2).record == {"seed": 2}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("digits/ecq", "expected DATASET/METHOD@SIZE"),
        ("digits/ecq@1kB", "the smallest operating point takes 4,015 bytes"),
        ("digits/wcam@1kB", "method 'wcam': no such runs in .*, there are ecq"),
        ("other/ecq@1kB", "there are digits, mine"),
        ("mine/ecq@9kB", "of a or b"),
        ("digits/ecq@lam~9", "there are lam~0, lam~1"),
    ],
)
def test_what_is_not_there_is_named(results, name, told):
    with pytest.raises(ValueError, match=told):
        ecqx.load_result(name, results)


def test_seeds_artefacts_and_tables_that_are_not_there(results):
    with pytest.raises(ValueError, match="no run of seed 7"):
        ecqx.load_result("digits/ecq@9kB", results, seed=7)
    with pytest.raises(ValueError, match=r"runs\.csv"):
        ecqx.load_result("digits/ecq@9kB", results / "runs")
    (results / "runs/digits/mlp_gsc/ecq/lam~3/seed~1/model.nnc").unlink()
    with pytest.raises(ValueError, match=r"model\.nnc: no such file"):
        ecqx.load_result("digits/ecq@lam~3", results)
