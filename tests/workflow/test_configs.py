"""Every configuration that is shipped: whatever its grids give can be tabulated and drawn."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from pipeline.planning import run_table

from benchmarks.make_results import make_attributions
from ecqx.compression import budgeting
from ecqx.compression.contract import describe_parameters, make_method
from ecqx.compression.loading import load_method
from ecqx.results import controls, figures, style, tables
from ecqx.results.variants import by_variant, method_of, variants

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path.name for path in (ROOT / "config").glob("*.yaml"))


def merged(name):
    default, own = (
        yaml.safe_load((ROOT / "config" / n).read_text()) for n in ("default.yaml", name)
    )
    return default | own | {"grids": default["grids"] | own.get("grids", {})}


def made_up(config):
    """A run per operating point and seed on one task; the values say nothing."""
    rng = np.random.default_rng(0)
    rows = []
    for method in config["methods"]:
        cls = load_method(ROOT / f"baselines/{method}.py")
        for point, params in run_table.expand_grid(config["grids"][method]).items():
            size = int(rng.integers(5_000, 50_000))
            for seed in config["seeds"]:
                accuracy = 0.9 - 200 / size + 0.01 * rng.random()
                measured = {
                    "dataset": "d", "model": "n", "method": method, "point": point, "seed": seed,
                    "bits": params.get("bits"), "status": "ok",
                    "accuracy": accuracy, "accuracy_fp32": 0.9,
                    "accuracy_validation": accuracy, "accuracy_validation_fp32": 0.9,
                    "size_bytes": size + int(rng.integers(50)), "size_fp32_bytes": 400_000,
                    "sparsity": 0.5, "entropy_bytes": size * 0.9, "train_s": 1.0 + rng.random(),
                    "peak_memory_bytes": 10**8, "flips": 0.02,
                }  # fmt: skip
                params_of_method, overrides = budgeting.split(params)
                full = dataclasses.asdict(make_method(cls, params_of_method)) | overrides
                rows.append(measured | {f"p_{key}": value for key, value in full.items()})
    runs = pd.DataFrame(rows)
    return runs.assign(compression_ratio=runs["size_fp32_bytes"] / runs["size_bytes"])


def overridden(config, method):
    points = run_table.expand_grid(config["grids"][method]).values()
    return {name for point in points for name in budgeting.split(point)[1]}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_can_be_tabulated_and_drawn(name):
    config = merged(name)
    runs = made_up(config)
    attributions = make_attributions(runs)
    described = pd.DataFrame(
        {"method": method} | parameter
        for method in config["methods"]
        for parameter in (
            *describe_parameters(load_method(ROOT / f"baselines/{method}.py")),
            *budgeting.describe({name: 1 for name in overridden(config, method)}),
        )
    )
    collected = tables.Collected(runs, attributions, methods=described)
    made = {table.name: table for table in tables.make_all(collected)}
    methods = set(made["summary"].data["method"])
    assert set(config["methods"]) <= set(map(method_of, methods))
    names = variants(runs, described)
    own = by_variant(runs, names), by_variant(attributions, names)
    metric = config.get("evaluation", {}).get("metrics", ["cosine"])[0]
    for width in style.WIDTHS:
        figures.accuracy_vs_size(own[0], width)
        figures.consistency_vs_size(*own, metric, width=width)
        figures.ranks(own[0], width)
        figures.sensitivity(runs, "lam", width)
    if name == "controls.yaml":
        differences = controls.paired_differences(runs)
        for width in style.WIDTHS:
            figures.controls_of_relevance(runs, differences, width)
