"""Frames like runs.csv and attributions.csv, made from curves with a known course."""

import numpy as np
import pandas as pd
import pytest

TASKS = {
    # dataset, model: full-precision accuracy, bytes, has convolutions, has masks, classes
    ("digits", "residual_cnn"): (0.981, 80_000, True, False, 10),
    ("cluttered_digits", "small_vgg"): (0.932, 310_000, True, True, 10),
    ("spoken_keywords", "mlp_gsc"): (0.955, 3_360_000, False, False, 12),
}
_CONSTRAINTS = [(4, 0.01), (4, 0.1), (4, 0.3), (2, 0.1), (2, 0.6)]
GRIDS = {
    "uniform_ptq": [{"bits": b} for b in (2, 3, 4, 5)],
    "uniform": [{"bits": b} for b in (2, 3, 4, 5)],
    "ecq": [{"bits": b, "lam": lam} for b, lam in _CONSTRAINTS],
    "ecqx": [{"bits": b, "lam": lam, "p": 0.3} for b, lam in _CONSTRAINTS],
    "wcam": [{"bits": b, "gamma": 100.0} for b in (2, 3, 4, 5)],
    "nncodec": [{"qp": qp} for qp in (-38, -32, -26, -20, -14)],
}
# Made up: relative size, loss of accuracy and harm to attributions of each method.
_SHRINK = {"uniform_ptq": 0.95, "ecq": 0.75, "ecqx": 0.62, "wcam": 1.02, "nncodec": 0.7}
_LOSS = {"uniform_ptq": 4.0, "uniform": 1.2, "ecqx": 0.8, "wcam": 1.1, "nncodec": 1.6}
_HARM = {"uniform_ptq": 1.3, "ecq": 1.1, "ecqx": 0.9, "wcam": 0.6}

UNTRAINED = ("uniform_ptq", "nncodec")


def _strength(params, step):
    """0 (harmless) to 1 (collapse)."""
    if set(params) & {"lam"}:
        return (0.3, 0.45, 0.62, 0.8, 0.97)[step]
    return {5: 0.25, 4: 0.4, 3: 0.6, 2: 0.85}.get(params.get("bits"), 0.2 + 0.18 * step)


def make_runs(tasks=None, methods=None, seeds=(0, 1, 2), diverged=(), extra=None, noise=0.004):
    """Frame like runs.csv; ``diverged`` lists (dataset, method, index of point, seed)."""
    grids = GRIDS | (extra or {})
    rows = []
    for dataset, model in tasks or TASKS:
        accuracy32, size32, _, _, classes = TASKS[dataset, model]
        for method in methods or grids:
            for step, params in enumerate(grids[method]):
                point = "_".join(f"{key}~{value}" for key, value in params.items())
                for seed in seeds:
                    rng = np.random.default_rng([len(dataset), len(method), step, seed])
                    strength = _strength(params, step)
                    reference = accuracy32 + 0.003 * (seed - 1)
                    lost = _LOSS.get(method, 1.0) * strength**6
                    accuracy = 1 / classes + (reference - 1 / classes) * np.exp(-lost)
                    accuracy = min(1.0, accuracy + noise * (1 + 8 * strength**6) * rng.normal())
                    validation = min(1.0, accuracy + noise * rng.normal())
                    ratio = 5 * np.exp(3.2 * strength) / _SHRINK.get(method, 1.0)
                    ratio *= 1 + 0.02 * rng.normal()
                    status = "diverged" if (dataset, method, step, seed) in diverged else "ok"
                    ok = status == "ok"
                    rows.append(
                        {
                            "dataset": dataset, "model": model, "method": method, "point": point,
                            "seed": seed, "bits": float(params.get("bits", np.nan)),
                            "status": status,
                            "accuracy": accuracy if ok else np.nan,
                            "accuracy_fp32": reference,
                            "accuracy_validation": validation if ok else np.nan,
                            "accuracy_validation_fp32": reference + 0.002,
                            "epoch": 1.0 if ok and method not in UNTRAINED else np.nan,
                            "size_bytes": round(size32 / ratio) if ok else np.nan,
                            "size_fp32_bytes": size32,
                            "compression_ratio": size32 / round(size32 / ratio) if ok else np.nan,
                            "sparsity": min(0.99, 0.1 + 0.85 * strength) if ok else np.nan,
                            "entropy_bytes": 0.9 * size32 / ratio if ok else np.nan,
                            "train_s": 1.0,
                        }
                        | {f"p_{key}": value for key, value in params.items()}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def make_attributions(runs):
    """Frame like attributions.csv for the ok runs of ``runs``, with the three anchors."""
    rows = []

    def add(key, explainer, level, values):
        rng = np.random.default_rng([len(explainer), key["seed"], int(1e4 * abs(level))])
        for metric, value in values.items():
            for subset in ("all", "both_correct"):
                for signed in (True, False):
                    shift = (0.02 if subset == "both_correct" else 0) + (0.05 if not signed else 0)
                    mean = value if value == 1 else min(0.999, value + shift + 0.01 * rng.normal())
                    rows.append(
                        key
                        | {"explainer": explainer, "metric": metric, "subset": subset,
                           "signed": signed, "mean": mean, "std": 0.1, "n": 128}
                    )  # fmt: skip

    def values(level, masks):
        result = {
            "pearson": level**1.1, "cosine": level, "spearman": level * 0.95 if level < 1 else 1.0,
            "ssim": level**1.5, "topk_iou": level**2,
        }  # fmt: skip
        if masks:
            result |= {
                "auc": 0.5 + 0.4 * level * 0.999, "pointing_game": 0.1 + 0.8 * level * 0.999,
                "relevance_rank": 0.2 + 0.6 * level * 0.999,
            }  # fmt: skip
        return result

    for task in runs[["dataset", "model"]].drop_duplicates().itertuples(index=False):
        task = tuple(task)
        _, _, convolutional, masks, _ = TASKS[task]
        explainers = ["lrp_epsilon_plus_flat", "gradient_x_input"]
        if convolutional:
            explainers.insert(1, "grad_cam")
        here = runs[(runs["dataset"] == task[0]) & (runs["model"] == task[1])]
        for k, explainer in enumerate(explainers):
            for seed in here["seed"].unique():
                for anchor, level in {"identical": 1.0, "retrained": 0.55, "random": 0.12}.items():
                    key = {"dataset": task[0], "model": task[1], "method": anchor,
                           "point": "anchor", "seed": int(seed)}  # fmt: skip
                    level -= 0.05 * k if level < 1 else 0
                    add(key, explainer, level, values(level, masks))
            for run in here[here["status"] == "ok"].to_dict("records"):
                key = {name: run[name] for name in ("dataset", "model", "method", "point", "seed")}
                harm = _HARM.get(run["method"], 1.0) * (1 - run["accuracy"] / run["accuracy_fp32"])
                level = float(np.clip(0.97 - 0.8 * harm - 0.12 * k * run["sparsity"], 0.05, 0.99))
                add(key, explainer, level, values(level, masks))
    return pd.DataFrame(rows)


DIVERGED = {
    ("digits", "ecq", 4, 0), ("digits", "ecq", 4, 1), ("digits", "ecq", 4, 2),
    ("digits", "uniform_ptq", 0, 1),
    ("cluttered_digits", "wcam", 0, 2),
}  # fmt: skip


@pytest.fixture(scope="session")
def runs():
    """3 tasks, 6 methods, 3 seeds; on ``digits`` ECQ's last point diverged."""
    return make_runs(diverged=DIVERGED)


@pytest.fixture(scope="session")
def attributions(runs):
    return make_attributions(runs)


@pytest.fixture(scope="session")
def build_runs():
    return make_runs


@pytest.fixture(scope="session")
def build_attributions():
    return make_attributions
