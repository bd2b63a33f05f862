import subprocess
import sys

import pandas as pd

from ecqx.results import swept

POINTS = {
    "a": {"1": {"bits": 4, "gamma": 0.1}, "2": {"bits": 4, "gamma": 0.2}, "3": {"bits": 2}},
    "b": {"1": {"step_size": 1, "text": "x"}, "2": {"step_size": 2, "text": "x"}},
    # both change at once: no line joins the two
    "c": {"1": {"odd": 1.0, "even": 2.0}, "2": {"odd": 3.0, "even": 4.0}},
    "d": {"1": {"flag": True, "kind": "x"}, "2": {"flag": False, "kind": "y"}},
}


def test_numbers_that_change_alone_are_swept_whatever_their_name():
    assert swept.in_points(POINTS) == ["gamma", "step_size"]


def test_runs_say_the_same_as_their_points():
    rows = [
        {"method": method, "point": point, "seed": seed}
        | {f"p_{name}": value for name, value in values.items()}
        for method, points in POINTS.items()
        for point, values in points.items()
        for seed in (0, 1)
    ]
    assert swept.in_runs(pd.DataFrame(rows)) == ["gamma", "step_size"]
    rows[0] = {key: value for key, value in rows[0].items() if not key.startswith("p_")}  # failed
    assert swept.in_runs(pd.DataFrame(rows)) == ["gamma", "step_size"]
    assert swept.in_runs(pd.DataFrame(rows)[["method", "point"]]) == []


def test_what_the_workflow_reads_while_it_plans_is_cheap():
    code = (
        "import sys, ecqx.results.keys, ecqx.results.swept;"
        "print({'torch', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
