"""What a method says of its hyper-parameters."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ecqx.compression.contract import describe_parameters, parameter
from ecqx.compression.loading import load_method

BASELINES = Path(__file__).parents[3] / "baselines"


@dataclass(frozen=True)
class Mine:
    gamma: float = 1.0
    p: float = 0.5
    rho: int = 2
    momentum: float = 0.9
    dropped: float = 0.1
    window: str = "below"
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
    }
    assert [rows[name]["kind"] for name in ("steps", "window", "signed")] == ["int", "str", "bool"]
    assert rows["signed"]["default"] == "True"
    assert rows["gamma"]["label"] == ""


def test_a_field_keeps_its_default():
    assert (Mine().damping, Mine.steps) == (0.01, 3)


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="role: 'axis' is unknown, expected one of front, variant"):
        parameter(1.0, role="axis")


@pytest.mark.parametrize(
    ("baseline", "front"),
    [
        ("uniform", {"bits"}),
        ("ecq", {"bits", "lam"}),
        ("wcam", {"bits"}),
        ("ecqx", {"bits", "lam"}),
        ("ecqx_wcam", {"bits", "lam"}),
        ("nncodec", {"qp", "lambda_scale"}),
    ],
)
def test_what_leads_along_the_fronts_of_the_baselines(baseline, front):
    rows = describe_parameters(load_method(BASELINES / f"{baseline}.py"))
    assert {row["parameter"] for row in rows if row["role"] == "front"} == front
