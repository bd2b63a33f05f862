"""What of each table goes into one column of a paper; without an entry, what fits from the left."""

from __future__ import annotations

from ecqx.results.keys import TABLES
from ecqx.results.latex import Brief

_OVER_SEEDS = " Means ± 95 % intervals over seeds."
_ACCURACY = "accuracy [points]"

_BRIEFS = {
    "summary": Brief(
        "Smallest networks within one point of full precision, chosen on validation data."
        + _OVER_SEEDS,
        ("Method", "Change [points]", "Ratio [–]"),
        lambda row: row["Chosen as"] == "smallest within 1 point",
    ),
    "smallest": Brief(
        "Smallest networks without degradation on validation data." + _OVER_SEEDS,
        ("Method", "Ratio [–]"),
        lambda row: row["Chosen as"] == "no degradation",
    ),
    "operating_points": Brief(
        "Best accuracy at 2 bits, chosen on validation data." + _OVER_SEEDS,
        ("Method", "Accuracy [%]", "Sparsity [%]", "Ratio [–]"),
        lambda row: row["Chosen as"].startswith("best accuracy"),
        lambda title: title.endswith(", 2 bit"),
    ),
    "equal_size": Brief(
        "Accuracy [%] at compression ratios that several methods reach." + _OVER_SEEDS,
        turned="Ratio [–]",
    ),
    "equal_accuracy": Brief(
        "Compression ratio at one point below full precision, along the fronts on validation data.",
        ("Method", "Ratio [–]", "On test [points]"),
        lambda row: row["Loss [points]"] == "1.0",
    ),
    "contrasts": Brief(
        "Planned contrasts in accuracy, in points at equal size." + _OVER_SEEDS,
        ("Method", "Minus", "Difference", "Verdict"),
        lambda row: row["Measure"] == _ACCURACY,
    ),
    "claims": Brief(
        "Claims, and what comes out here." + _OVER_SEEDS,
        ("First", "Minus", "Difference", "Verdict"),
        lambda row: row["Verdict"] != "not tested",
    ),
    "ablation": Brief(
        "What each part of a method adds in accuracy, in points at equal size." + _OVER_SEEDS,
        ("Method", "Minus", "Difference", "Verdict"),
        lambda row: row["Measure"] == _ACCURACY,
    ),
    "comparisons": Brief(
        "Differences in accuracy at equal size, each method minus another." + _OVER_SEEDS,
        ("Method", "Minus", "Difference [points]", "Holm"),
    ),
    "hypervolume": Brief(
        "Volume that the fronts dominate, accuracy against the logarithm of size." + _OVER_SEEDS,
        ("Method", "Volume [halvings]", "Rank"),
        lambda row: row["Third axis"] == "none",
    ),
    "costs": Brief(
        "Costs of compressing one network at one operating point." + _OVER_SEEDS,
        ("Method", "Time [s]", "Peak memory [MB]"),
    ),
    "closeness": Brief(
        "Measures of attributions above uniform training at equal size, and accuracy there.",
        ("Method", "Uniform: above", "Accuracy difference [points]"),
        sections=lambda title: title.endswith(", tally"),
    ),
    "agreement": Brief(
        "Predictions that differ from those of full precision." + _OVER_SEEDS,
        ("Method", "Operating point", "Flips [%]"),
    ),
    "classes": Brief(
        "Accuracy by class: change beyond the mean of all classes, and agreement." + _OVER_SEEDS,
        ("Method", "Class", "Beyond the others [points]", "Agreement [%]"),
    ),
    "complexity": Brief(
        "Gini index of maps: near 1, a few positions have all." + _OVER_SEEDS,
        ("Explainer", "Network", "Gini index"),
    ),
    "published": Brief(
        "Compression ratios that were published, and those here.",
        ("Published ratio [–]", "Task", "Ratio here [–]"),
    ),
    "failures": Brief(
        "Runs without a result.",
        ("Method", "Operating point", "Status", "Runs"),
    ),
    "coverage": Brief("Operating points × seeds of each method on each task."),
}


def brief(name: str) -> Brief:
    """What of a table, of :data:`ecqx.results.keys.TABLES`, is for one column."""
    return _BRIEFS.get(name) or Brief(f"{TABLES[name]}, an excerpt." + _OVER_SEEDS)
