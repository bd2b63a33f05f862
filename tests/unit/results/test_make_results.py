"""Made-up results of any size, and that tables of them stay cheap."""

import time

from benchmarks import make_results
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.results import metrics, statistics, tables


def test_made_up_results_are_like_collected_ones():
    runs = make_results.make_runs(700)
    assert len(runs) == 700 and not runs.duplicated(statistics.RUN).any()
    assert set(runs["status"]) == {"ok", "diverged"}
    ok = runs["status"] == "ok"
    assert runs.loc[~ok, "accuracy"].isna().all() and runs.loc[ok, "size_bytes"].notna().all()
    attributions = make_results.make_attributions(runs)
    assert set(attributions["explainer"]) <= set(EXPLAINERS)
    assert set(attributions["metric"]) == set(metrics.measured())
    statistics.measures_per_run(runs, attributions)


def test_time_for_tables_does_not_grow_with_the_square_of_the_runs():
    seconds = []
    for count in (750, 3_000):
        runs = make_results.make_runs(count)
        collected = tables.Collected(runs, make_results.make_attributions(runs))
        start = time.process_time()
        made = {table.name: table for table in tables.make_all(collected)}
        seconds.append(time.process_time() - start)
        assert set(made) == set(tables.TABLES)
    assert seconds[1] < 10 * seconds[0]  # 4 times the runs; the square is 16 times the work
