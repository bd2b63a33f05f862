"""What the metrics of attributions are, as they are declared where they are defined."""

from __future__ import annotations

from ecqx.evaluation import declared


def lower_is_better() -> frozenset[str]:
    """Metrics of which less is better."""
    metrics = declared("metric") | declared("localisation")
    return frozenset(name for name, about in metrics.items() if not about["higher_is_better"])


def localisation() -> frozenset[str]:
    """Metrics that compare maps with ground-truth masks; all others measure consistency."""
    return frozenset(declared("localisation"))
