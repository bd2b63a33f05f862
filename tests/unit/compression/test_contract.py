"""What a method says of its hyper-parameters."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ecqx.compression.contract import describe_parameters, make_method, parameter
from ecqx.compression.loading import load_method

BASELINES = Path(__file__).parents[3] / "baselines"


@dataclass(frozen=True)
class Mine:
    gamma: float = 1.0
    p: float = 0.5
    rho: int = 2
    momentum: float = 0.9
    dropped: float = 0.1
    window: str = parameter("below", words="window {}")
    signed: bool = True
    damping: float = parameter(0.01, role="variant", label="δ: damping")
    steps: int = parameter(3, label="steps of the search")


def test_numbers_lead_along_the_front_and_all_else_makes_variants():
    rows = describe_parameters(Mine)
    assert [row["parameter"] for row in rows] == list(Mine.__dataclass_fields__)
    roles = {row["parameter"]: row["role"] for row in rows}
    assert {name for name, role in roles.items() if role == "variant"} == {
        "window",
        "signed",
        "damping",
    }
    assert set(roles.values()) == {"front", "variant"}


def test_rows_are_text():
    rows = {row["parameter"]: row for row in describe_parameters(Mine)}
    assert rows["damping"] == {
        "parameter": "damping",
        "kind": "float",
        "role": "variant",
        "default": "0.01",
        "label": "δ: damping",
        "words": "",
    }
    assert rows["window"]["words"] == "window {}"
    assert [rows[name]["kind"] for name in ("steps", "window", "signed")] == ["int", "str", "bool"]
    assert rows["signed"]["default"] == "True"
    assert rows["gamma"]["label"] == ""


def test_a_field_keeps_its_default():
    assert (Mine().damping, Mine.steps) == (0.01, 3)


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="role: 'axis' is unknown, expected one of front, variant"):
        parameter(1.0, role="axis")


@pytest.mark.parametrize("words", ["window", "{} of {}"])
def test_words_without_one_place_for_the_value_are_refused(words):
    with pytest.raises(ValueError, match="words: '.*' has [02] places for a value, expected 1"):
        parameter("below", words=words)


@dataclass(frozen=True)
class Counting:
    levels: int = 16


@dataclass(frozen=True)
class OfItsOwn:
    bits: int = 4
    levels: str = "odd"


def test_bits_stand_for_levels():
    assert make_method(Counting, {"bits": 3}) == make_method(Counting, {"levels": 8})
    assert make_method(Counting, {"bits": 4}) == make_method(Counting, {}) == Counting()
    assert make_method(Counting, {"bits": 3, "levels": 8}).levels == 8
    assert make_method(OfItsOwn, {"bits": 3}) == OfItsOwn(3, "odd")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bits": 3, "levels": 9}, "bits: 3 stands for levels: 8, got levels: 9 as well"),
        ({"levels": 16, "bits": 2}, "bits: 2 stands for levels: 4, got levels: 16 as well"),
        ({"bits": 9}, "bits: 9 is out of range, expected 2 to 8"),
        ({"bits": 1}, "bits: 1 is out of range, expected 2 to 8"),
        ({"bits": 4.0}, "bits: 4.0 is float, expected an integer"),
        ({"bit": 4}, "bit: no such hyper-parameter, expected one of: bits, levels"),
    ],
)
def test_bits_that_stand_for_no_levels(params, message):
    with pytest.raises(ValueError) as caught:
        make_method(Counting, params)
    assert str(caught.value) == message


def test_without_levels_there_are_no_bits():
    with pytest.raises(ValueError, match="bits: no such hyper-parameter, expected one of: gamma"):
        make_method(Mine, {"bits": 4})


@pytest.mark.parametrize(
    ("baseline", "front"),
    [
        ("uniform", {"levels"}),
        ("uniform_ptq", {"levels"}),
        ("ecq", {"levels", "lam"}),
        ("wcam", {"levels"}),
        ("ecqx", {"levels", "lam"}),
        ("ecqx_wcam", {"levels", "lam"}),
        ("nncodec", {"qp"}),
    ],
)
def test_what_leads_along_the_fronts_of_the_baselines(baseline, front):
    rows = describe_parameters(load_method(BASELINES / f"{baseline}.py"))
    assert {row["parameter"] for row in rows if row["role"] == "front"} == front
