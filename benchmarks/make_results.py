"""Collected results of any size, made up: to time tables, figures and the page.

    python -m benchmarks.make_results FOLDER [--runs 10000]

Writes runs.csv and attributions.csv of as many compressed networks, with all explainers and
metrics of a full evaluation. Curves, noise and divergence are invented: the values say nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.results import metrics
from ecqx.results.keys import RUN

METHODS = {  # method -> varies lam?, relative size, loss of accuracy, harm to attributions
    "uniform_ptq": (False, 1.0, 4.0, 1.3),
    "uniform": (False, 1.0, 1.2, 1.0),
    "ecq": (True, 0.75, 1.0, 1.1),
    "ecqx": (True, 0.7, 0.9, 0.9),
    "wcam": (False, 1.0, 1.1, 0.6),
    "ecq_wcam": (True, 0.76, 1.0, 0.7),
    "ecqx_wcam": (True, 0.71, 0.9, 0.6),
}
ANCHORS = {"identical": 1.0, "retrained": 0.55, "random": 0.1}
SEEDS = range(5)
BITS = (2, 3, 4, 5)
LAMS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
RUNS_PER_TASK = len(SEEDS) * len(BITS) * sum(len(LAMS) if m[0] else 1 for m in METHODS.values())


def make_runs(count: int) -> pd.DataFrame:
    """The first ``count`` runs of as many tasks as that takes; about 1 in 100 diverged."""
    rng = np.random.default_rng(0)
    rows = [
        (f"data{task:02d}", f"net{task % 4}", method, bits, lam, seed)
        for task in range(-(-count // RUNS_PER_TASK))
        for method, (varies, *_) in METHODS.items()
        for bits in BITS
        for lam in (LAMS if varies else (np.nan,))
        for seed in SEEDS
    ][:count]
    runs = pd.DataFrame(rows, columns=["dataset", "model", "method", "bits", "p_lam", "seed"])
    shrink, loss = (runs["method"].map(lambda m, k=k: METHODS[m][k]) for k in (1, 2))
    strength = (6 - runs["bits"]) / 5 + 0.4 * runs["p_lam"].fillna(0)
    chance, full = 0.1, 0.93 + 0.004 * runs["seed"]
    kept = np.exp(-loss * strength**5) + 0.004 * rng.normal(size=count)
    size = 2e6 / (5 * np.exp(3 * strength) / shrink) * (1 + 0.01 * rng.normal(size=count))
    ok = rng.random(count) > 0.01
    lam = runs["p_lam"].map(lambda value: "" if np.isnan(value) else f"_lam~{value:g}")
    runs["point"] = "bits~" + runs["bits"].astype(str) + lam
    runs["status"] = np.where(ok, "ok", "diverged")
    runs["accuracy"] = (chance + (full - chance) * kept).clip(0, 1)
    runs["accuracy_fp32"] = full
    runs["accuracy_validation"] = (runs["accuracy"] + rng.normal(0, 0.005, count)).clip(0, 1)
    runs["accuracy_validation_fp32"] = full
    runs["size_bytes"] = size.round()
    runs["size_fp32_bytes"] = 2_000_000
    runs["compression_ratio"] = runs["size_fp32_bytes"] / runs["size_bytes"]
    runs["sparsity"] = (0.1 + 0.7 * strength).clip(0, 0.99)
    runs["entropy_bytes"] = 0.95 * runs["size_bytes"]
    shares = {"weights": 0.9, "vectors": 0.05, "exact": 0.0, "names": 0.02, "header": 0.03}
    for part, share in shares.items():
        runs[f"bytes_{part}"] = share * runs["size_bytes"]
    measured = [
        "accuracy",
        "accuracy_validation",
        "size_bytes",
        "compression_ratio",
        "sparsity",
        "entropy_bytes",
    ]
    runs.loc[~ok, measured] = np.nan
    runs["train_s"] = 1 + rng.random(count)
    runs["peak_memory_bytes"] = rng.integers(400e6, 900e6, count)
    runs["flips"] = (1 - kept).clip(0, 1).where(ok)
    runs["p_bits"] = runs["bits"]
    first = ["dataset", "model", "method", "point", "seed", "bits", "status"]
    return runs[first + [name for name in runs.columns if name not in first]]


def make_attributions(runs: pd.DataFrame) -> pd.DataFrame:
    """All measures of the ok runs and of the anchors, both subsets, signed and not."""
    rng = np.random.default_rng(1)
    ok = runs[runs["status"] == "ok"]
    harm = ok["method"].map(lambda method: METHODS.get(method, METHODS["uniform"])[3])
    networks = ok[RUN].assign(level=(0.97 - harm * (1 - ok["accuracy"])).clip(0.05, 0.99))
    seeds = runs[["dataset", "model", "seed"]].drop_duplicates()
    anchors = [
        seeds.assign(method=name, point="anchor", level=level)[[*RUN, "level"]]
        for name, level in ANCHORS.items()
    ]
    networks = pd.concat([*anchors, networks], ignore_index=True)
    kinds = pd.DataFrame(
        [
            (explainer, metric, subset, signed)
            for explainer in EXPLAINERS
            for metric in metrics.measured()
            for subset in ("all", "both_correct")
            for signed in (True, False)
        ],
        columns=["explainer", "metric", "subset", "signed"],
    )
    # As categories, the long table takes a tenth of the memory.
    networks = networks.astype({name: "category" for name in RUN if name != "seed"})
    kinds = kinds.astype({name: "category" for name in ("explainer", "metric", "subset")})
    table = pd.concat(
        [
            networks.loc[networks.index.repeat(len(kinds))].reset_index(drop=True),
            kinds.loc[np.tile(kinds.index, len(networks))].reset_index(drop=True),
        ],
        axis=1,
    )
    exact = (table["level"] == 1).to_numpy()
    value = table.pop("level") + np.where(exact, 0, 0.01 * rng.normal(size=len(table)))
    table["mean"] = value.where(table["metric"] != "normalised_l2", 1 - value)
    return table.assign(std=0.1, n=128, degenerate=0)


def write(folder: Path, count: int) -> None:
    """Leave the tables of so many runs in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = make_runs(count)
    whole = runs.astype({"size_bytes": "Int64"})  # written without a decimal point
    whole.to_csv(folder / "runs.csv", index=False)
    attributions = make_attributions(runs)
    attributions.to_csv(folder / "attributions.csv", index=False)
    print(f"{folder}: {len(runs)} runs, {len(attributions)} rows of attributions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    arguments = parser.parse_args()
    if arguments.runs < 1:
        parser.error(f"--runs: {arguments.runs}, expected at least 1")
    write(arguments.folder, arguments.runs)


if __name__ == "__main__":
    main()
