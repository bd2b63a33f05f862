"""Made-up tables of layers, relevance and controls, and inputs of galleries."""

import numpy as np
import pandas as pd

from ecqx.results import statistics


def groups(frame, keys):
    """Rows by their keys, without pandas' grouping."""
    result = {}
    for row in frame.to_dict("records"):
        result.setdefault(tuple(row[key] for key in keys), []).append(row)
    return result


def make_layers(runs, tensors=4):
    rows = []
    for run in runs[runs["status"] == "ok"].to_dict("records"):
        for position in range(tensors):
            rng = np.random.default_rng(
                [len(run["method"]), len(run["point"]), run["seed"], position]
            )
            rows.append(
                {key: run[key] for key in statistics.RUN}
                | {"tensor": f"t{position}", "position": position, "weights": 10 ** (position + 1),
                   "sparsity": rng.uniform(), "entropy_bits": rng.uniform(0, 3)}
            )  # fmt: skip
    return pd.DataFrame(rows)


def make_gains(runs, explainers=("grad_cam", "gradient_x_input")):
    """Gains that tell methods, seeds, explainers and maps apart, of runs and of all anchors."""
    rows = []

    def add(run, base):
        for place, explainer in enumerate(explainers):
            pairs = {("own", "own"): base, ("reference", "own"): base - 0.1,
                     ("own", "reference"): base - 0.05 * (place + 1)}  # fmt: skip
            for (network, of_map), gain in pairs.items():
                if run["method"] == "identical" and network != of_map:
                    gain = base
                rows.append(
                    {key: run[key] for key in statistics.RUN}
                    | {"explainer": explainer, "network": network, "map": of_map, "signed": True,
                       "mean": gain + 0.1 * place, "std": 0.1, "n": 16}
                )  # fmt: skip

    for run in runs[runs["status"] == "ok"].to_dict("records"):
        add(run, 0.3 + 0.01 * run["seed"] - 0.02 * len(run["method"]) + run["size_bytes"] / 1e6)
    for (dataset, model, seed), _ in groups(runs, ["dataset", "model", "seed"]).items():
        for place, anchor in enumerate(statistics.ANCHORS):
            run = {"dataset": dataset, "model": model, "method": anchor, "point": "anchor",
                   "seed": seed}  # fmt: skip
            add(run, 0.5 - 0.2 * place + 0.01 * seed)
    columns = [*statistics.RUN, "explainer", "network", "map", "signed", "mean", "std", "n"]
    return pd.DataFrame(rows, columns=columns)


def make_relevance(runs, tensors=3):
    rows = []
    for (dataset, model, seed), _ in groups(runs, ["dataset", "model", "seed"]).items():
        for position in range(tensors):
            rng = np.random.default_rng([len(dataset), seed, position])
            shares = np.sort(rng.uniform(size=10))
            for decile in range(10):
                rows.append(
                    {"dataset": dataset, "model": model, "seed": seed, "tensor": f"t{position}",
                     "position": position, "weights": 100, "decile": decile + 1,
                     "spearman": 0.3 + 0.2 * position + 0.01 * seed,
                     "relevance_share": shares[decile] / shares.sum()}
                )  # fmt: skip
    return pd.DataFrame(rows)


def make_controls():
    rows = []
    for source in ("lrp", "shuffled", "own_source", None):
        for lam in (0.1, 0.2, 0.4):
            for seed in (0, 1, 2):
                gain = {"lrp": 0.02, "shuffled": 0.0}.get(source, 0.01)
                rows.append(
                    {"dataset": "d", "model": "m", "method": "ecqx" if source else "ecq",
                     "point": f"{source}-{lam}", "seed": seed, "bits": 4, "status": "ok",
                     "accuracy": 0.8 - lam + gain + 0.01 * seed * lam,
                     "accuracy_validation": 0.8 - lam + gain, "size_bytes": 1000 / lam,
                     "p_lam": lam, "p_relevance": source if source else np.nan}
                )  # fmt: skip
    return pd.DataFrame(rows)


def gallery_input(runs, shape=(1, 8, 8), task="cluttered_digits"):
    rng = np.random.default_rng(0)
    selected = statistics.matched_runs(runs[runs["dataset"] == task])
    images = rng.normal(size=(3, *shape))
    maps = {name: rng.normal(size=(3, *shape[1:])) for name in selected["method"]}
    return images, rng.normal(size=(3, *shape[1:])), selected, maps
