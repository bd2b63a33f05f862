"""The table of WCAM's routes against curves whose distance is known."""

import math

import numpy as np
import pandas as pd
import pytest

from ecqx.results import rendering
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.tables import routes

SEEDS = (0, 1, 2)
# how far above the map of no matching a way is, by seed
ABOVE = {
    "none": (0.0, 0.0, 0.0), "ewa": (0.05, -0.04, 0.01), "swa": (0.2, 0.21, 0.19),
    "e2kd": (0.1, 0.11, 0.12),
}  # fmt: skip


def made():
    """Runs and maps: AUC is 0.3 + accuracy / 10 without matching, and Pearson 0.1 log(size)."""
    runs, maps = [], []
    for seed in SEEDS:
        for number, (way, above) in enumerate(ABOVE.items()):
            for step in range(3):
                accuracy = 0.95 - 0.1 * step - 0.02 * number
                size = 4000 / 2**step + 100 * number
                extra = {
                    "p_matching": way,
                    "p_quantizer": "uniform",
                    "p_pruned": step / 3,
                    "p_interval": 1.0,
                    "p_layers": math.nan,
                }
                runs.append(run("prune_structured", f"{way}{step}", seed, accuracy, size, **extra))
                auc = 0.3 + 0.1 * accuracy + above[seed]
                maps.append(measured(runs[-1], "auc", auc))
                maps.append(measured(runs[-1], "pearson", 0.1 * math.log(size) + above[seed]))
        # another quantizer is another question
        runs.append(run("prune_structured", "c", seed, 0.9, 2000, p_matching="none",
                        p_quantizer="cerwu", p_pruned=0.5))  # fmt: skip
        maps.append(measured(runs[-1], "auc", 0.99))
        runs.append(run("uniform", "u", seed, 0.9, 2000))
        maps.append(measured(runs[-1], "auc", 0.99))
        lost = dict.fromkeys(("accuracy", "accuracy_validation", "size_bytes"), math.nan)
        runs.append(run("prune_structured", "x", seed, 1, 1, p_matching="swa") | lost |
                    {"status": "diverged"})  # fmt: skip
        maps.append(measured(run("identical", "anchor", seed, 1, 1), "auc", 0.5))
    return pd.DataFrame(runs), pd.DataFrame(maps)


def run(method, point, seed, accuracy, size, **more):
    return {
        "dataset": "d", "model": "m", "method": method, "point": point, "seed": seed,
        "status": "ok", "accuracy": accuracy, "accuracy_fp32": 0.96,
        "accuracy_validation": accuracy, "accuracy_validation_fp32": 0.96, "size_bytes": size,
        "size_fp32_bytes": 40_000, "compression_ratio": 40_000 / size,
    } | more  # fmt: skip


def measured(run, metric, mean):
    names = ("dataset", "model", "method", "point", "seed")
    return {name: run[name] for name in names} | {
        "explainer": "grad_cam", "metric": metric, "subset": "all", "signed": True, "mean": mean,
        "std": 0.1, "n": 100,
    }  # fmt: skip


@pytest.fixture(scope="module")
def table():
    return routes.build(Collected(*made()))


def test_differences_by_hand(table):
    index = ["matching", "other", "measure", "at"]
    found = table.set_index(index)
    assert set(table["route"]) == {"prune_structured"} and set(table["explainer"]) == {"grad_cam"}
    for one, other in (("ewa", "none"), ("swa", "none"), ("swa", "ewa"), ("e2kd", "swa")):
        values = np.subtract(ABOVE[one], ABOVE[other])
        # what is linear in the coordinate is subtracted exactly
        for measure, at in (("auc", "accuracy"), ("pearson", "size")):
            row = found.loc[one, other, measure, at]
            assert row["difference_mean"] == pytest.approx(values.mean(), abs=1e-9)
            assert [float(v) for v in row["values"].split()] == pytest.approx(values, abs=1e-6)
            assert row["n"] == row["seeds"] == 3
    row = found.loc["none", "full precision", "auc", "points"]
    assert row["difference_mean"] == pytest.approx(0.3 + 0.085 - 0.5)
    assert not (table["measure"] == "pearson")[table["other"] == "full precision"].any()
    assert not table["matching"].isin(["sswa", "swa, equal force"]).any()


def test_verdicts(table):
    found = table.set_index(["matching", "other", "measure", "at"])["verdict"]
    assert found["ewa", "none", "auc", "accuracy"] == "open"
    assert found["swa", "none", "auc", "accuracy"] == "reproduced"
    assert found["e2kd", "none", "auc", "accuracy"] == "above"
    assert found["e2kd", "swa", "auc", "accuracy"] == "below"
    runs, maps = made()
    maps.loc[maps["method"] == "identical", "mean"] = [0.1, 0.11, 0.12]
    other = routes.build(Collected(runs, maps)).set_index(["matching", "other", "measure", "at"])
    assert other["verdict"]["none", "full precision", "auc", "points"] == "contradicted"
    claims = table[(table["measure"] == "auc") & (table["at"] == "accuracy")]
    claims = claims[claims["claim"] != ""]
    assert len(claims) == 3 and (claims["p_t_holm"] >= claims["p_t"]).all()
    assert table.loc[table["claim"] == "", "p_t_holm"].isna().all()


def test_readers_see_claims_and_verdicts(table):
    text = rendering.to_markdown(routes.document(table))
    assert "SWA" in text and "no matching" in text and "reproduced" in text
    assert len(routes.document(table).sections) == 1


def test_without_routes_there_is_nothing_to_say():
    runs, maps = made()
    keep = runs["method"] == "uniform"
    with pytest.raises(Unavailable, match="none of the routes"):
        routes.build(Collected(runs[keep], maps[maps["method"] == "uniform"]))


@pytest.mark.parametrize("seed", range(4))
def test_mean_differences_are_integrals(seed):
    rng = np.random.default_rng(seed)
    one, other = (
        (np.sort(rng.uniform(0, 10, n)) + shift, rng.normal(size=n))
        for n, shift in ((5, 0), (7, 2))
    )
    low, high = max(one[0][0], other[0][0]), min(one[0][-1], other[0][-1])
    x = np.linspace(low, high, 200_001)
    expected = np.mean(np.interp(x, *one) - np.interp(x, *other))
    assert routes.mean_difference(one, other) == pytest.approx(expected, abs=1e-4)
    apart = (other[0] + 20, other[1])
    assert math.isnan(routes.mean_difference(one, apart))
    touching = (other[0] - other[0][0] + one[0][-1], other[1])
    assert routes.mean_difference(one, touching) == pytest.approx(one[1][-1] - other[1][0])


def test_gains_are_compared_and_claimed_by_nobody():
    runs, maps = made()
    gains = []
    for row in [row for row in maps.to_dict("records") if row["metric"] == "auc"]:
        names = ("dataset", "model", "method", "point", "seed", "explainer", "signed")
        about = {name: row[name] for name in names}
        for network, of_map in (("own", "own"), ("reference", "own"), ("own", "reference")):
            # by its own map, half of what the area is
            gain = row["mean"] / 2 if network == of_map else 0.1
            gains.append(about | {"network": network, "map": of_map, "mean": gain})
    table = routes.build(Collected(runs, maps, gains=pd.DataFrame(gains)))
    gain, auc = (table[table["measure"] == name] for name in ("gain", "auc"))
    assert len(gain) == len(auc) > 5
    np.testing.assert_allclose(gain["difference_mean"], auc["difference_mean"] / 2)
    assert set(gain["claim"]) == {""} and gain["p_t_holm"].isna().all()
    assert set(gain["verdict"]) <= {"above", "below", "open"} and "above" in set(gain["verdict"])
    # and the claims about other measures are adjusted as without
    without = routes.build(Collected(runs, maps))
    pd.testing.assert_frame_equal(table[table["measure"] != "gain"].reset_index(drop=True), without)
    text = rendering.to_markdown(routes.document(table))
    assert "relevance gain" in text
