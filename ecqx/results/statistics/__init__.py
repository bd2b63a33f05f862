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
    equivalence,
    holm,
    least_detectable,
    least_signed_rank,
    signed_rank,
)
from ecqx.results.statistics.fronts import (
    COARSE_RATIOS,
    RATIOS,
    Front,
    at_ratios,
    pareto_front,
    seed_curves,
    seed_fronts,
)
from ecqx.results.statistics.hypervolume import common_ranges, offered_volume, seed_volumes
from ecqx.results.statistics.intervals import (
    CONFIDENCE,
    Interval,
    RatioInterval,
    aggregate,
    aggregate_ratios,
    bootstrap_interval,
    half_width,
    mean_interval,
    ratio_interval,
)
from ecqx.results.statistics.matched import matched_runs
from ecqx.results.statistics.paired import (
    Paired,
    Readings,
    own_levels,
    pair_points,
    pair_sizes,
    readings_of,
)
from ecqx.results.statistics.points import (
    COUNTED,
    QUANTITIES,
    aggregate_points,
    count_statuses,
    full_precision,
    trained,
)
from ecqx.results.statistics.variance import VarianceComponents, variance_components

__all__ = [
    "ANCHORS",
    "COARSE_RATIOS",
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
    "Paired",
    "RatioInterval",
    "Readings",
    "VarianceComponents",
    "aggregate",
    "aggregate_points",
    "aggregate_ratios",
    "anchor_means",
    "at_ratios",
    "bootstrap_interval",
    "common_ranges",
    "compare_pairs",
    "count_statuses",
    "equivalence",
    "full_precision",
    "half_width",
    "holm",
    "least_detectable",
    "least_signed_rank",
    "matched_runs",
    "mean_interval",
    "measures_per_run",
    "offered_volume",
    "own_levels",
    "pair_points",
    "pair_sizes",
    "pareto_front",
    "ratio_interval",
    "readings_of",
    "require_columns",
    "require_distinct_runs",
    "seed_curves",
    "seed_fronts",
    "seed_volumes",
    "signed_rank",
    "trained",
    "variance_components",
]
