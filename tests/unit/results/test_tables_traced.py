"""Numbers in the tables, recomputed from the collected files with nothing but the csv module.

Every number of a random sample of rows is derived anew, by plain loops over the rows of runs.csv
and attributions.csv.
"""

import csv
import math
import random
import statistics

import pytest

from ecqx.results import files, tables

T = {2: 12.706204736432095, 3: 4.302652729911275}  # 97.5 % quantiles for so many seeds
SAMPLE = 12


@pytest.fixture(scope="module")
def folder(runs, attributions, tmp_path_factory):
    """The collected tables and all that is made of them, as files."""
    folder = tmp_path_factory.mktemp("tables")
    runs.to_csv(folder / "runs.csv", index=False)
    attributions.to_csv(folder / "attributions.csv", index=False)
    collected = tables.Collected(
        files.read(folder / "runs.csv"), files.read_attributions(folder / "attributions.csv")
    )
    for made in tables.make_all(collected):
        made.data.to_csv(folder / f"{made.name}.csv", index=False)
    return folder


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rows(folder):
    return read(folder / "runs.csv")


@pytest.fixture(scope="module")
def maps(folder):
    return [row for row in read(folder / "attributions.csv") if row["subset"] == "all"]


def sampled(folder, name, wanted=lambda row: True):
    found = [row for row in read(folder / f"{name}.csv") if wanted(row)]
    assert found
    return random.Random(0).sample(found, min(SAMPLE, len(found)))


def where(rows, **values):
    return [row for row in rows if all(row[key] == value for key, value in values.items())]


def task_of(row):
    return {"dataset": row["dataset"], "model": row["model"]}


def number(text):
    return float(text) if text else math.nan


def check(row, name, values, half_width=True):
    """Mean and half width of a column against values, one per seed."""
    mean = row[name] if name in row else row[f"{name}_mean"]
    if not values:
        assert mean == ""
        return
    assert float(mean) == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-12)
    if half_width and len(values) > 1:
        expected = T[len(values)] * statistics.stdev(values) / math.sqrt(len(values))
        found = float(row[f"{name.removesuffix('_mean')}_half_width"])
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def front(own):
    """(size, accuracy, run) of the undominated ok runs of one seed, and the largest size."""
    ok = [(float(row["size_bytes"]), float(row["accuracy"]), row) for row in own
          if row["status"] == "ok"]  # fmt: skip
    kept = [
        one
        for one in ok
        if not any(
            other[0] <= one[0] and other[1] >= one[1] and other[:2] != one[:2] for other in ok
        )
    ]
    return sorted(kept, key=lambda one: one[0]), max((one[0] for one in ok), default=0)


def along(own, size, value):
    """``value`` of the runs on the front, at another size; None where it is undefined."""
    points, largest = front(own)
    if not points or size < points[0][0] or size > largest:
        return None
    for (small, _, one), (large, _, other) in zip(points, points[1:], strict=False):
        if small <= size <= large:
            share = math.log(size / small) / math.log(large / small)
            return (1 - share) * value(one) + share * value(other)
    return value(points[-1][2])


def seeds_of(rows, row):
    return sorted({own["seed"] for own in where(rows, **task_of(row))})


def accuracy(run):
    return float(run["accuracy"])


def test_summary_smallest_and_operating_points(folder, rows):
    for name in ("summary", "smallest", "operating_points"):
        column = "point" if name == "summary" else "points"
        chosen = sampled(
            folder,
            name,
            lambda row: row[column] not in ("none", "full_precision"),  # noqa: B023
        )
        for row in chosen:
            own = where(rows, **task_of(row), method=row["method"], point=row[column])
            assert len(own) == int(row["n"])
            check(row, "accuracy", [accuracy(run) for run in own])
            changes = [accuracy(run) - float(run["accuracy_fp32"]) for run in own]
            check(row, "accuracy_change", changes)
            check(row, "size_bytes", [float(run["size_bytes"]) for run in own])
            ratios = [float(run["size_fp32_bytes"]) / float(run["size_bytes"]) for run in own]
            check(row, "compression_ratio", ratios)
            check(row, "sparsity", [float(run["sparsity"]) for run in own])


def test_no_other_operating_point_would_have_been_chosen(folder, rows):
    drops = {"within_half_a_point": 0.005, "within_1_point": 0.01, "within_2_points": 0.02}
    for row in sampled(folder, "operating_points", lambda row: row["criterion"] in drops):
        group = where(rows, **task_of(row), method=row["method"])
        group = [run for run in group if number(run["bits"]) == number(row["bits"])
                 or (row["bits"] == "" and run["bits"] == "")]  # fmt: skip
        sizes = []
        for point in {run["point"] for run in group}:
            own = where(group, point=point)
            if any(run["status"] != "ok" for run in own):
                continue
            change = statistics.fmean(accuracy(r) - float(r["accuracy_fp32"]) for r in own)
            if change >= -drops[row["criterion"]] - 1e-9:
                sizes.append(statistics.fmean(float(run["size_bytes"]) for run in own))
        if row["points"] == "none":
            assert not sizes
        else:
            assert float(row["size_bytes_mean"]) == pytest.approx(min(sizes))


def test_equal_size(folder, rows):
    for row in sampled(folder, "equal_size"):
        found = []
        for seed in seeds_of(rows, row):
            own = where(rows, **task_of(row), method=row["method"], seed=seed)
            size = float(own[0]["size_fp32_bytes"]) / float(row["ratio"])
            found.append(along(own, size, accuracy))
        found = [value for value in found if value is not None]
        assert int(row["accuracy_n"]) == len(found)
        check(row, "accuracy", found)


def test_equal_accuracy(folder, rows):
    for row in sampled(folder, "equal_accuracy"):
        sizes = []
        for seed in seeds_of(rows, row):
            own = where(rows, **task_of(row), method=row["method"], seed=seed)
            target = float(own[0]["accuracy_fp32"]) - float(row["drop"])
            points, _ = front(own)
            for (small, low, _), (large, high, _) in zip(points, points[1:], strict=False):
                if low <= target <= high:
                    share = (target - low) / (high - low)
                    sizes.append(small * (large / small) ** share)
                    break
        assert int(row["n"]) == len(sizes)
        check(row, "size_bytes", sizes)


def compared(rows, row, method, other, value):
    """Differences by seed over the ratios at which both are defined for every seed."""
    seeds = seeds_of(rows, row)
    by_ratio = {}
    for ratio in (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8):
        for decade in (1, 10, 100):
            differences = []
            for seed in seeds:
                read = []
                for name in (method, other):
                    own = where(rows, **task_of(row), method=name, seed=seed)
                    size = float(own[0]["size_fp32_bytes"]) / (ratio * decade)
                    read.append(along(own, size, value))
                if None in read:
                    break
                differences.append(read[0] - read[1])
            if len(differences) == len(seeds):
                by_ratio[ratio * decade] = differences
    ratios = sorted(by_ratio)
    return ratios, [
        statistics.fmean(by_ratio[ratio][place] for ratio in ratios)
        for place in range(len(seeds) if ratios else 0)
    ]


def test_comparisons(folder, rows):
    for row in sampled(folder, "comparisons"):
        ratios, differences = compared(rows, row, row["method"], row["other"], accuracy)
        assert int(row["ratios"]) == len(ratios) and int(row["n"]) == len(differences)
        check(row, "difference", differences)
        if differences:
            expected = statistics.fmean(differences) / statistics.stdev(differences)
            assert float(row["d_z"]) == pytest.approx(expected)


def test_closeness(folder, rows, maps):
    for row in sampled(folder, "closeness", lambda row: row["method"] != "uniform"):
        keys = {key: row[key] for key in ("explainer", "metric", "signed")}
        known = {
            (one["method"], one["point"], one["seed"]): float(one["mean"])
            for one in where(maps, **task_of(row), **keys)
        }

        def value(run, known=known):
            return known[run["method"], run["point"], run["seed"]]

        ratios, differences = compared(rows, row, row["method"], "uniform", value)
        assert int(row["ratios"]) == len(ratios)
        check(row, "difference", differences)


def test_hypervolume(folder, rows, maps):
    for row in sampled(folder, "hypervolume"):
        volumes = []
        for seed in seeds_of(rows, row):
            boxes = []
            for run in where(rows, **task_of(row), method=row["method"], seed=seed):
                if run["status"] != "ok":
                    continue
                halvings = math.log2(float(run["size_fp32_bytes"]) / float(run["size_bytes"]))
                box = [halvings, 2 * accuracy(run) / float(run["accuracy_fp32"]) - 1]
                if row["explainer"]:
                    keys = {key: run[key] for key in ("method", "point", "seed")}
                    (own,) = where(maps, **task_of(row), **keys, explainer=row["explainer"],
                                   metric="cosine", signed="True")  # fmt: skip
                    box.append(float(own["mean"]))
                boxes.append(box)
            # Cells of the grid that all coordinates span, counted if some box holds them.
            axes = [sorted({0.0} | {box[i] for box in boxes if box[i] > 0})
                    for i in range(len(boxes[0]) if boxes else 0)]  # fmt: skip
            volume = 0.0
            cells = [[]]
            for axis in axes:
                cells = [
                    [*cell, side] for cell in cells for side in zip(axis, axis[1:], strict=False)
                ]
            for cell in cells if axes else []:
                if any(all(box[i] >= high for i, (_, high) in enumerate(cell)) for box in boxes):
                    volume += math.prod(high - low for low, high in cell)
            volumes.append(volume)
        check(row, "volume", volumes)
        assert float(row["bootstrap_low"]) == pytest.approx(min(volumes))
        assert float(row["bootstrap_high"]) == pytest.approx(max(volumes))


def test_costs(folder, rows):
    for row in sampled(folder, "costs"):
        ratios = []
        for seed in seeds_of(rows, row):
            times = [
                statistics.median(
                    float(run["train_s"])
                    for run in where(rows, **task_of(row), method=name, seed=seed, status="ok")
                )
                for name in (row["method"], "uniform")
                if where(rows, **task_of(row), method=name, seed=seed, status="ok")
            ]
            if len(times) == 2:
                ratios.append(times[0] / times[1])
        check(row, "train_s_ratio", ratios)


def test_matching(folder, rows, maps):
    for row in sampled(folder, "matching"):
        differences = []
        for seed in seeds_of(rows, row):
            (with_,) = where(rows, **task_of(row), method=row["with_matching"],
                             point=row["point"], seed=seed)  # fmt: skip
            (without,) = where(rows, **task_of(row), method=row["compression"],
                               p_bits=with_["p_bits"], seed=seed)  # fmt: skip
            pair = [
                where(maps, **task_of(row), method=run["method"], point=run["point"], seed=seed,
                      explainer=row["explainer"], metric="auc", signed="True")
                for run in (with_, without)
            ]  # fmt: skip
            if all(pair):
                differences.append(float(pair[0][0]["mean"]) - float(pair[1][0]["mean"]))
        check(row, "auc_difference", differences)


def ranks(values):
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def test_metric_agreement(folder, rows, maps):
    for row in sampled(folder, "metric_agreement"):
        cells = {}
        for one in maps:
            if (
                one["method"] not in ("identical", "retrained", "random")
                and one["signed"] == "True"
            ):
                cell = cells.setdefault((one["dataset"], one["explainer"]), {})
                run = cell.setdefault((one["method"], one["point"], one["seed"]), {})
                run[one["metric"]] = float(one["mean"])
        correlations = []
        for cell in cells.values():
            pairs = [(run[row["metric"]], run[row["other"]]) for run in cell.values()]
            first, second = (ranks(values) for values in zip(*pairs, strict=True))
            correlations.append(statistics.correlation(first, second))
        assert float(row["correlation_mean"]) == pytest.approx(statistics.fmean(correlations))
        assert float(row["correlation_least"]) == pytest.approx(min(correlations))
