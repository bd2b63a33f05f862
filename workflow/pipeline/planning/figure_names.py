"""Which figures a configuration leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecqx.results import swept
from ecqx.results.keys import LEAST_RANKED_TASKS
from pipeline.planning.run_table import Point

Points = Mapping[str, Mapping[str, Point]]


def figure_names(
    config: Mapping[str, Any], tasks: Mapping[str, Mapping[str, Any]], points: Points
) -> list[str]:
    """Names of figures: a kind, or "<kind>-<argument>", see ``workflow/scripts/figures.py``.

    Parameters
    ----------
    config : the merged configuration
    tasks : label -> settings of the tasks that are run
    points : method -> name -> point
    """
    evaluation = config["evaluation"]
    metrics = evaluation["metrics"]
    return [
        "accuracy_vs_size",
        "accuracy_vs_sparsity",
        *(f"consistency_vs_size-{metric}" for metric in metrics),
        *(["localisation_vs_size"] if evaluation["localisation"] else []),
        *(["faithfulness_vs_size"] if evaluation["faithfulness"]["samples"] else []),
        *(f"accuracy_vs_consistency-{metric}" for metric in metrics[:1]),
        *(["metric_correlations"] if metrics else []),
        "layers",
        "relevance_vs_magnitude",
        *(f"sensitivity-{parameter}" for parameter in swept.in_points(_in_levels(points))),
        "training_cost",
        *(["ranks"] if len(tasks) >= LEAST_RANKED_TASKS else []),
        *(["controls"] if controls(points) else []),
        *(f"gallery-{task['dataset']}-{task['model']}" for task in tasks.values()),
    ]


def _in_levels(points: Points) -> Points:
    """The points with the ``levels: 2^b`` that ``bits: b`` stands for."""
    return {
        method: {name: _without_bits(point) for name, point in own.items()}
        for method, own in points.items()
    }


def _without_bits(point: Point) -> Point:
    if point.get("bits") not in range(2, 9):  # of what else there is, the check tells
        return point
    return {"levels": 2 ** point["bits"]} | {k: v for k, v in point.items() if k != "bits"}


def controls(points: Points) -> bool:
    """Whether ECQx is run with several sources of relevance, and nothing else than its strength."""
    own = points.get("ecqx", {}).values()
    several = len({point.get("relevance") for point in own}) > 1
    return several and all(set(point) <= {"bits", "lam", "relevance"} for point in own)
