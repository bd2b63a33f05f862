"""What papers claim, and what comes out here: one measure per claim and task, with a verdict."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from ecqx.results import metrics, rendering, statistics, style
from ecqx.results.collected import Collected, Unavailable
from ecqx.results.keys import tasks_of
from ecqx.results.rendering import method_label
from ecqx.results.tables import differences, routes
from ecqx.results.tables.differences import ACCURACY, CONSISTENCY, LEVEL, MARGIN

ABOVE, BELOW, SAME = "above", "below", "level"
LOCALISATION = "auc"


class Claim(NamedTuple):
    """One method against another.

    Attributes
    ----------
    text : str, what is claimed.
    source : str, its key in REFERENCES.bib; "this benchmark", where the README says it.
    measure : str, what it is held against: "accuracy" at equal size, "pearson", how close maps are
        to those of full precision at equal size, or "auc", the localisation of a route of WCAM at
        equal accuracy.
    method, other : str, whose difference it is; of a route, ways of matching.
    expected : str, on which side of 0 that difference is: "above", "below" or "level".
    """

    text: str
    source: str
    measure: str
    method: str
    other: str
    expected: str


_HERE = "this benchmark"
_SOURCES = {
    "becking2021ecqx": "ECQx (Becking et al. 2021)",
    "marban2020ec2t": "EC2T (Marban et al. 2020)",
    "park2020wcam": "WCAM (Park et al. 2020)",
    "frantar2023optq": "OPTQ (Frantar et al. 2023)",
    "cerwu2025": "CERWU (2025)",
    "esser2020lsq": "LSQ (Esser et al. 2020)",
    "han2015connections": "Magnitude pruning (Han et al. 2015)",
    _HERE: "This benchmark",
}
CLAIMS = (
    Claim("Relevance in the assignment keeps accuracy that the entropy constraint alone loses",
          "becking2021ecqx", ACCURACY, "ecqx", "ecq", ABOVE),
    Claim("Relevance tells which weights to keep: shuffled, it is worse",
          "becking2021ecqx", ACCURACY, "ecqx", "ecqx, relevance shuffled", ABOVE),
    Claim("An entropy constraint in training saves bytes",
          "marban2020ec2t", ACCURACY, "ecq", "uniform", ABOVE),
    Claim("Compression breaks localisation if maps are not matched",
          "park2020wcam", LOCALISATION, routes.NONE, routes.FULL, BELOW),
    Claim("Matching equally weighted maps keeps it",
          "park2020wcam", LOCALISATION, "ewa", routes.NONE, ABOVE),
    Claim("Matching sensitivity-weighted maps keeps it",
          "park2020wcam", LOCALISATION, "swa", routes.NONE, ABOVE),
    Claim("Sensitivity-weighted maps keep more of it than equally weighted ones",
          "park2020wcam", LOCALISATION, "swa", "ewa", ABOVE),
    Claim("Matching keeps maps when training on a grid",
          "park2020wcam", CONSISTENCY, "wcam", "uniform", ABOVE),
    Claim("Matching costs no accuracy",
          "park2020wcam", ACCURACY, "wcam", "uniform", SAME),
    Claim("Making up for rounding errors beats rounding to the nearest",
          "frantar2023optq", ACCURACY, "optq", "uniform_ptq", ABOVE),
    Claim("With the coder's rate in it, it beats itself",
          "cerwu2025", ACCURACY, "cerwu", "optq", ABOVE),
    Claim("And the codec's own quantization",
          "cerwu2025", ACCURACY, "cerwu", "nncodec", ABOVE),
    Claim("Learned steps beat a fixed grid",
          "esser2020lsq", ACCURACY, "lsq", "uniform", ABOVE),
    Claim("Small weights are those that can go: pruned at random, networks are worse",
          "han2015connections", ACCURACY, "prune", "prune_random", ABOVE),
    Claim("Relevance in the assignment keeps maps",
          _HERE, CONSISTENCY, "ecqx", "ecq", ABOVE),
    Claim("Relevance in the metric of rounding errors is worth nothing: shuffled, it is as good",
          _HERE, ACCURACY, "obs_relevance", "obs_relevance, relevance shuffled", SAME),
    Claim("Rounding with the coder's rate keeps maps better than the codec's own quantization",
          _HERE, CONSISTENCY, "cerwu", "nncodec", ABOVE),
)  # fmt: skip
HEADERS = ["Claim", "First", "Minus", "Task", "Measure", "Expected", "Difference", "p", "Holm",
           "Level", "Verdict", "Holds in", "n"]  # fmt: skip
NOTE = (
    "Difference: first minus second, mean over seeds, paired. Accuracy [points]: at equal size, as "
    "in the planned contrasts. Pearson [–]: of signed maps with those of full precision, at equal "
    "size, mean over explainers. ROC-AUC [–]: of signed maps of Grad-CAM (or of the first "
    "explainer where it was not run) against the "
    "masks, on a route of WCAM, at equal accuracy; against full precision, mean over all points. "
    "Holm: two-sided paired t-test, adjusted for all rows of this table that could be tested. "
    "Level: p of two one-sided t-tests for a difference of less than 1 point. Verdict: "
    "reproduced, Holm below 0.05 on the claimed side (of a claim of no difference: level below "
    "0.05); not reproduced, Holm below 0.05 on the other side, or level below 0.05 where a "
    "difference is claimed (of a claim of no difference: Holm below 0.05); open, neither, which "
    "is no evidence against it; not tested, what it needs was not run. Holds in: of all seeds, "
    "and, of maps, all explainers and measures of consistency or localisation, how many "
    "differences lie on the claimed side (within 1 point), whatever their size; these are no "
    "independent cases. "
)


def build(collected: Collected) -> pd.DataFrame:
    """A row per claim and task (of routes: and route); one without a task if nothing tests it.

    Returns
    -------
    DataFrame
        claim, source, measure ("accuracy", a fraction, "pearson" or "auc"), method, other,
        expected ("above", "below", "level"); dataset, model, route (empty where it is not of one);
        difference_mean, difference_half_width, n, seeds (of the task), p_t, p_t_holm,
        p_equivalence (of accuracy); verdict ("reproduced", "not reproduced", "open", "not tested"),
        holds, settings (differences on the claimed side, and all).

    Raises
    ------
    Unavailable : nothing of what any claim needs was run.
    """
    found = _Found(collected)
    rows = []
    for claim in CLAIMS:
        own = list(found.of_routes(claim) if claim.measure == LOCALISATION else found.of(claim))
        about = {"claim": claim.text, **claim._asdict()}
        del about["text"]
        rows += [about | row for row in own or [dict.fromkeys(("dataset", "model", "route"), "")]]
    table = pd.DataFrame(rows)
    if not (table["dataset"] != "").any():
        raise Unavailable("no two methods that a claim is about were run on the same task")
    table["p_t_holm"] = statistics.holm(table["p_t"].to_numpy(float))
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    counts = ["n", "seeds", "holds", "settings"]
    table[counts] = table[counts].fillna(0).astype(int)
    order = ["claim", "source", "measure", "method", "other", "expected", "dataset", "model",
             "route", "difference_mean", "difference_half_width", "n", "seeds", "p_t", "p_t_holm",
             "p_equivalence", "verdict", "holds", "settings"]  # fmt: skip
    return table[order]


class _Found:
    """What claims are held against, task by task."""

    def __init__(self, collected: Collected) -> None:
        self._collected = collected
        self._readings = {
            task: differences.readings(collected, task, [ACCURACY])
            for task in tasks_of(collected.runs)
        }

    @functools.cached_property
    def _routes(self) -> pd.DataFrame | None:
        try:
            return routes.build(self._collected)
        except Unavailable:
            return None

    def of(self, claim: Claim) -> Iterator[dict]:
        """A row for each task on which both methods were run, and could be compared."""
        for task, here in self._readings.items():
            if claim.method not in here or claim.other not in here:
                continue
            if claim.measure == ACCURACY:
                paired = statistics.pair_sizes(here[claim.method], here[claim.other])
                every = paired.differences
            else:
                closeness = differences.Closeness(self._collected, task)
                paired = closeness.paired(claim.method, claim.other)
                if paired is None:
                    continue
                every = self._of_all_measures(task, claim)
            row = differences.row(
                self._collected, task, claim.method, claim.other, claim.measure, paired
            )
            kept = ("dataset", "model", "difference_mean", "difference_half_width", "n", "seeds",
                    "p_t", "p_equivalence")  # fmt: skip
            yield {name: row[name] for name in kept} | {"route": ""} | _tally(claim, every)

    def _of_all_measures(self, task: tuple[str, str], claim: Claim) -> np.ndarray:
        """Differences of all explainers and metrics of consistency, above 0 where closer."""
        collected = self._collected
        known = collected.measures
        columns = [c for c in known.columns if c[1] in metrics.consistency() and c[2]]
        signs = [-1.0 if c[1] in metrics.lower_is_better() else 1.0 for c in columns]
        here = (collected.runs["dataset"] == task[0]) & (collected.runs["model"] == task[1])
        runs, values = collected.runs[here], known.loc[here, columns].to_numpy(float)
        paired = statistics.pair_points(runs, values, claim.method, claim.other)
        if paired is None:
            readings = statistics.readings_of(collected.measures_at_ratios, columns)
            paired = statistics.pair_sizes(
                *(readings[(*task, name)] for name in (claim.method, claim.other))
            )
        return paired.differences * signs

    def of_routes(self, claim: Claim) -> Iterator[dict]:
        """A row for each task and route on which both ways of matching were run."""
        table = self._routes
        if table is None:
            return
        own = table[
            (table["matching"] == claim.method)
            & (table["other"] == claim.other)
            & table["measure"].isin(metrics.localisation())
        ]
        for (dataset, model, route), rows in own.groupby(["dataset", "model", "route"], sort=False):
            explainers = set(rows["explainer"])
            explainer = "grad_cam" if "grad_cam" in explainers else rows["explainer"].iloc[0]
            first = rows[
                (rows["explainer"] == explainer)
                & (rows["measure"] == LOCALISATION)
                & rows["at"].isin(["accuracy", "points"])
            ]
            if first.empty:
                continue
            row = first.iloc[0]
            every = [float(value) for text in rows["values"] for value in text.split()]
            kept = ("difference_mean", "difference_half_width", "n", "seeds", "p_t")
            yield {name: row[name] for name in kept} | {
                "dataset": dataset, "model": model, "route": route, "p_equivalence": np.nan,
            } | _tally(claim, np.array(every))  # fmt: skip


def _tally(claim: Claim, values: np.ndarray) -> dict[str, int]:
    values = values[np.isfinite(values)]
    holds = {ABOVE: values > 0, BELOW: values < 0, SAME: np.abs(values) < MARGIN}[claim.expected]
    return {"holds": int(holds.sum()), "settings": values.size}


def _verdict(row: dict) -> str:
    if not row["n"] > 0:
        return "not tested"
    shown, level = row["p_t_holm"] < LEVEL, row["p_equivalence"] < LEVEL
    if row["expected"] == SAME:
        return "reproduced" if level else "not reproduced" if shown else "open"
    if shown:
        side = ABOVE if row["difference_mean"] > 0 else BELOW
        return "reproduced" if side == row["expected"] else "not reproduced"
    return "not reproduced" if level else "open"


def document(table: pd.DataFrame) -> rendering.Document:
    """A section per source: a row per claim and task."""
    sections = []
    for source, own in table.groupby("source", sort=False):
        cells = [_cells(row) for row in own.to_dict("records")]
        title = _SOURCES[source]
        sections.append(rendering.section(title, HEADERS, cells, names=4, repeated=3))
    return rendering.document("claims", table[table["dataset"] != ""], NOTE, sections)


def _cells(row: dict) -> list[str]:
    factor, digits = (100, 2) if row["measure"] == ACCURACY else (1, 3)
    task = rendering.EMPTY
    if row["dataset"]:
        task = style.task_label(row["dataset"], row["model"])
        task += f", {method_label(row['route'])}" if row["route"] else ""
    interval = row["difference_mean"], row["difference_half_width"], row["n"]
    names = {ACCURACY: "accuracy [points]", CONSISTENCY: "Pearson [–]", LOCALISATION: "ROC-AUC [–]"}
    label = routes.way_label if row["measure"] == LOCALISATION else method_label
    tested = row["n"] > 0
    return [
        row["claim"],
        label(row["method"]),
        label(row["other"]),
        task,
        names[row["measure"]],
        row["expected"],
        rendering.measure(interval, factor, digits, signed=True, seeds=row["seeds"])
        if tested
        else rendering.EMPTY,
        rendering.p_value(row["p_t"]),
        rendering.p_value(row["p_t_holm"]),
        rendering.p_value(row["p_equivalence"]),
        row["verdict"],
        f"{row['holds']} of {row['settings']}" if row["settings"] else rendering.EMPTY,
        str(row["n"]),
    ]
