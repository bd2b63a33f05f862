from pathlib import Path

import pandas as pd
import pytest

from ecqx.compression.contract import describe_parameters
from ecqx.compression.loading import load_method
from ecqx.results.collected import Collected
from ecqx.results.keys import METHOD_COLUMNS
from ecqx.results.variants import by_variant, labels, method_of, point_labels, variants

BASELINES = Path(__file__).parents[3] / "baselines"


def runs(**columns):
    size = len(next(iter(columns.values())))
    points = [f"point~{n}" for n in range(size)]
    return pd.DataFrame({"method": ["m"] * size, "point": points, **columns})


def declared(*rows):
    """As methods.csv: (method, parameter, kind, role, default[, label[, words]])."""
    rows = [(*row, *[None] * (len(METHOD_COLUMNS) - len(row))) for row in rows]
    return pd.DataFrame(rows, columns=METHOD_COLUMNS)


METHODS = declared(
    ("m", "bits", "int", "front", "4"),
    ("m", "strength", "float", "variant", "100.0", "σ: strength of it"),
    ("m", "every", "int", "variant", "1", None, "once in {} steps"),
    ("m", "source", "str", "variant", "lrp", "source", "{}"),
    ("m", "side_of", "str", "variant", "up", "side"),
    ("m", "layers", "str", "variant", None),  # pandas reads the empty text so
    ("m", "flag", "bool", "variant", "False"),
    ("m", "scale", "str", "front", "log"),
)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"p_bits": [2, 4], "p_unknown": [0.1, 0.2]}, ["m", "m"]),
        ({"p_strength": [10.0, 100.0]}, ["m, σ 10", "m"]),
        ({"p_strength": [10.0, 10.0]}, ["m, σ 10", "m, σ 10"]),
        ({"p_strength": [100.0, 100.0]}, ["m", "m"]),
        ({"p_every": [1.0, 5.0]}, ["m", "m, once in 5 steps"]),
        ({"p_source": ["lrp", "shuffled"]}, ["m", "m, shuffled"]),
        ({"p_side_of": ["upside_down", "up"]}, ["m, side of upside down", "m"]),
        ({"p_scale": ["log", "linear"]}, ["m", "m"]),
        (
            {"p_source": ["lrp", "own"], "p_strength": [1.0, 2.0]},
            ["m, σ 1", "m, own, σ 2"],
        ),
        ({"p_flag": [True, False]}, ["m, flag True", "m"]),
        ({"p_layers": ["conv1", "conv2", None]}, ["m, layers conv1", "m, layers conv2", "m"]),
        ({"p_source": [None, None]}, ["m", "m"]),
    ],
)
def test_names(columns, names):
    table = runs(**columns)
    assert by_variant(table, variants(table, METHODS))["method"].tolist() == names
    assert {method_of(name) for name in names} == {"m"}


def test_without_a_declaration_texts_make_variants_and_nothing_is_usual():
    table = runs(p_gamma=[1.0, 2.0], p_source=["lrp", "own"], p_flag=[True, False])
    names = ["m, source lrp, flag True", "m, source own, flag False"]
    for methods in (None, declared(("other", "source", "str", "variant", "lrp"))):
        assert by_variant(table, variants(table, methods))["method"].tolist() == names
        same = table.assign(p_source="own", p_flag=True)
        assert by_variant(same, variants(same, methods))["method"].tolist() == ["m", "m"]


def test_older_tables_of_methods_have_no_words():
    table = runs(p_strength=[10.0, 100.0], p_source=["own", "lrp"])
    found = variants(table, METHODS.drop(columns="words"))
    assert found == {("m", "point~0"): "m, σ 10, source own"}


def test_the_names_that_the_baselines_declare():
    rows = [
        {"method": name} | row
        for name in ("ecqx", "wcam", "nncodec", "uniform_ptq")
        for row in describe_parameters(load_method(BASELINES / f"{name}.py"))
    ]
    points = [
        ("ecqx", {}, "ecqx"),
        ("ecqx", {"window": "below"}, "ecqx, window below"),
        ("ecqx", {"relevance": "shuffled"}, "ecqx, shuffled"),
        ("ecqx", {"relevance_interval": 4}, "ecqx, relevance every 4 steps"),
        ("ecqx", {"relevance_of": "shadow", "momentum": 0.9, "p": 0.3, "rho": 8.0, "start": "ones"},
         "ecqx, p 0.3, ρ 8, momentum 0.9, relevance of shadow weights, LRP from ones"),
        ("wcam", {"gamma": 10.0}, "wcam, γ 10"),
        ("wcam", {"matching": "sswa"}, "wcam, sswa"),
        ("nncodec", {"lambda_scale": 0.0}, "nncodec, λ 0"),
        ("uniform_ptq", {"step_rule": "percentile"}, "uniform_ptq, step by percentile"),
    ]  # fmt: skip
    table = pd.DataFrame(
        {"method": method, "point": str(place)} | {f"p_{name}": v for name, v in values.items()}
        for place, (method, values, _) in enumerate(points)
    )
    named = variants(table, pd.DataFrame(rows))
    found = by_variant(table, named)["method"].tolist()
    expected = [name for _, _, name in points]
    assert [sorted(name.split(", ")) for name in found] == [
        sorted(name.split(", ")) for name in expected
    ]


@pytest.mark.parametrize("name", ["gamma", "p", "rho", "momentum", "dropped"])
def test_a_number_that_leads_along_the_front_makes_no_variants(name):
    """Whatever it is called: the role that the method gives it counts."""
    rows = runs(**{f"p_{name}": [0.1, 0.2, 0.3]}).assign(dataset="d", model="n", seed=0)
    methods = declared(("m", name, "float", "front", "0.1"))
    assert Collected(rows, methods=methods).runs["method"].tolist() == ["m"] * 3
    turned = methods.assign(role="variant")
    assert Collected(rows, methods=turned).runs["method"].nunique() == 3


def test_methods_do_not_mix():
    """Parameters of one method are empty for another, which makes no variant of either."""
    table = pd.DataFrame(
        {
            "method": ["ecq", "ecqx", "ecqx"],
            "point": ["a", "b", "c"],
            "p_relevance": [None, "lrp", "magnitude"],
        }
    )
    methods = declared(("ecqx", "relevance", "str", "variant", "lrp", None, "{}"))
    assert variants(table, methods) == {("ecqx", "c"): "ecqx, magnitude"}


def test_a_failed_run_without_parameters_stays_with_its_point():
    table = pd.concat([runs(p_source=[None, None]), runs(p_source=["lrp", "own"])])
    assert variants(table, METHODS) == {("m", "point~1"): "m, own"}


def test_labels_are_those_that_are_given():
    methods = declared(
        ("a", "lam", "float", "front", "1"), ("b", "lam", "float", "front", "1", "λ: weight [–]")
    )
    assert labels(methods) == {"lam": "λ: weight [–]"} and labels(None) == {}
    with pytest.raises(ValueError, match="methods: missing column.s. label"):
        labels(methods.drop(columns="label"))


def test_operating_points_in_words():
    columns = ["method", "parameter", "kind", "role", "default", "label", "words"]
    methods = pd.DataFrame(
        [
            ("ecqx", "lam", "float", "front", "0.1", "λ: weight of the entropy term", None),
            ("ecqx", "relevance_of", "str", "variant", "quantized", "", "relevance of {} weights"),
        ],
        columns=columns,
    )
    points = [
        ("ecqx", "bits~4_lam~0.05"),
        ("ecqx, relevance of stored_ones weights", "lam~0.1_relevance_of~stored_ones"),
        ("mine", "epochs_factor~4_levels~15"),
        ("nncodec", "qp~-32"),
        ("other", "default"),
    ]
    assert list(point_labels(points, methods).values()) == [
        "4 bits, λ 0.05",
        "λ 0.1, relevance of stored ones weights",
        "epochs factor 4, 15 levels",
        "qp -32",
        "default",
    ]
