"""Statistics over seeds: intervals, Pareto fronts, dominated volumes, paired comparisons.

The frames are those of ``runs.csv`` and ``attributions.csv``. A run whose status is not ``ok``
enters no mean, but is counted beside it; an operating point with such a run is not *complete* and
competes neither for a front of means nor for a table, because the mean over the seeds that survived
is not the mean over the seeds that were tried.
"""

from ecqx.results.keys import (
    ANCHORS,
    POINT,
    RUN,
    TASK,
    require_columns,
    require_distinct_runs,
)
from ecqx.results.statistics.attributions import anchor_means, measures_per_run
from ecqx.results.statistics.comparisons import (
    Comparison,
    compare_pairs,
    holm,
    least_signed_rank,
    signed_rank,
)
from ecqx.results.statistics.fronts import RATIOS, Front, at_ratios, pareto_front, seed_fronts
from ecqx.results.statistics.hypervolume import dominated_volume, seed_volumes
from ecqx.results.statistics.intervals import (
    CONFIDENCE,
    Interval,
    aggregate,
    bootstrap_interval,
    half_width,
    mean_interval,
)
from ecqx.results.statistics.matched import matched_runs
from ecqx.results.statistics.paired import (
    Readings,
    common_differences,
    common_levels,
    levels_at,
    readings_of,
)
from ecqx.results.statistics.points import (
    COUNTED,
    QUANTITIES,
    aggregate_points,
    count_statuses,
    full_precision,
)

__all__ = [
    "ANCHORS",
    "CONFIDENCE",
    "COUNTED",
    "POINT",
    "QUANTITIES",
    "RATIOS",
    "RUN",
    "TASK",
    "Comparison",
    "Front",
    "Interval",
    "Readings",
    "aggregate",
    "aggregate_points",
    "anchor_means",
    "at_ratios",
    "bootstrap_interval",
    "common_differences",
    "common_levels",
    "compare_pairs",
    "count_statuses",
    "dominated_volume",
    "full_precision",
    "half_width",
    "holm",
    "least_signed_rank",
    "levels_at",
    "matched_runs",
    "mean_interval",
    "measures_per_run",
    "pareto_front",
    "readings_of",
    "require_columns",
    "require_distinct_runs",
    "seed_fronts",
    "seed_volumes",
    "signed_rank",
]
