import pandas as pd
import pytest

from ecqx.results.variants import by_variant, method_of, variants


def runs(**columns):
    size = len(next(iter(columns.values())))
    points = [f"point~{n}" for n in range(size)]
    return pd.DataFrame({"method": ["m"] * size, "point": points, **columns})


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"p_bits": [2, 4], "p_lam": [0.1, 0.2], "p_threshold": [1.0, 2.0]}, ["m", "m"]),
        ({"p_gamma": [10.0, 100.0]}, ["m, gamma 10", "m"]),
        ({"p_gamma": [10.0, 10.0]}, ["m", "m"]),
        ({"p_relevance": ["lrp", "shuffled"]}, ["m", "m, shuffled"]),
        (
            {"p_variant": ["swa", "ewa"], "p_gamma": [1.0, 2.0]},
            ["m, gamma 1", "m, ewa, gamma 2"],
        ),
        ({"p_flag": [True, False]}, ["m, flag True", "m, flag False"]),
        ({"p_window": [None, None]}, ["m", "m"]),
    ],
)
def test_names(columns, names):
    table = runs(**columns)
    assert by_variant(table, variants(table))["method"].tolist() == names
    assert [method_of(name) for name in names] == ["m", "m"]


def test_methods_do_not_mix():
    """Parameters of one method are empty for another, which makes no variant of either."""
    table = pd.DataFrame(
        {
            "method": ["ecq", "ecqx", "ecqx"],
            "point": ["a", "b", "c"],
            "p_relevance": [None, "lrp", "magnitude"],
        }
    )
    assert variants(table) == {("ecqx", "c"): "ecqx, magnitude"}
