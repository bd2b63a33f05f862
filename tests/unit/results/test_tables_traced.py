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
CACHE: dict[tuple, list] = {}  # rows of attributions.csv that a loop asks for again


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


R40 = (1, 1.06, 1.12, 1.18, 1.25, 1.32, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.12, 2.24, 2.36, 2.5,
       2.65, 2.8, 3, 3.15, 3.35, 3.55, 3.75, 4, 4.25, 4.5, 4.75, 5, 5.3, 5.6, 6, 6.3, 6.7, 7.1, 7.5,
       8, 8.5, 9, 9.5)  # fmt: skip


def front(own):
    """(size, validation accuracy, run) of the undominated ok runs of one seed, and all sizes."""
    ok = [(float(row["size_bytes"]), float(row["accuracy_validation"]), row) for row in own
          if row["status"] == "ok"]  # fmt: skip
    kept = [
        one
        for one in ok
        if not any(
            other[0] <= one[0] and other[1] >= one[1] and other[:2] != one[:2] for other in ok
        )
    ]
    return sorted(kept, key=lambda one: one[0]), sorted(one[0] for one in ok)


def everything(own):
    """The same of all ok runs, dominated or not."""
    ok = [(float(row["size_bytes"]), 0.0, row) for row in own if row["status"] == "ok"]
    return sorted(ok, key=lambda one: one[0]), sorted(one[0] for one in ok)


def along(own, size, value, curve=front, tolerance=math.inf):
    """``value`` of the runs on a curve, at another size; None where it is undefined."""
    points, sizes = curve(own)
    if not points or size < points[0][0] or size > sizes[-1]:
        return None
    if min(abs(math.log(size / one)) for one in sizes) > math.log(1 + tolerance):
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


def logs(values):
    """Geometric mean and the ends of its interval."""
    logarithms = [math.log(value) for value in values]
    mean = statistics.fmean(logarithms)
    if len(values) < 2:
        return math.exp(mean), math.nan, math.nan
    half = T[len(values)] * statistics.stdev(logarithms) / math.sqrt(len(values))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def check_ratio(row, name, values):
    """Geometric mean and interval of a column against values, one per seed."""
    found = [number(row[f"{name}_{part}"]) for part in ("geomean", "low", "high")]
    expected = logs(values) if values else (math.nan,) * 3
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)


DROPS = {"no_degradation": 0.0, "within_1_point": 0.01, "within_2_points": 0.02}


def chosen_runs(rows, row):
    """The run that each seed chooses on validation data, by the row's criterion."""
    group = where(rows, **task_of(row), method=row["method"], status="ok")
    if "bits" in row:
        group = [run for run in group if number(run["bits"]) == number(row["bits"])
                 or (row["bits"] == "" and run["bits"] == "")]  # fmt: skip
    found = []
    for seed in sorted({run["seed"] for run in group}, key=int):
        own = where(group, seed=seed)
        score = [number(r["accuracy_validation"]) - number(r["accuracy_validation_fp32"])
                 for r in own]  # fmt: skip
        size = [float(run["size_bytes"]) for run in own]
        if row["criterion"] == "best_accuracy":
            found.append(own[max(range(len(own)), key=lambda k: (score[k], -size[k]))])
            continue
        fine = [k for k in range(len(own)) if score[k] >= -DROPS[row["criterion"]] - 1e-9]
        if fine:
            found.append(own[min(fine, key=lambda k: (size[k], -score[k]))])
    return found


@pytest.mark.parametrize("name", ["summary", "smallest", "operating_points"])
def test_chosen_points(folder, rows, name):
    for row in sampled(folder, name, lambda row: row["points"] != "full_precision"):
        own = chosen_runs(rows, row)
        assert len(own) == int(row["n"])
        names = sorted({run["point"] for run in own})
        assert [part.split(" (")[0] for part in row["points"].split(", ")] == (names or ["none"])
        check(row, "accuracy", [accuracy(run) for run in own])
        changes = [accuracy(run) - float(run["accuracy_fp32"]) for run in own]
        check(row, "accuracy_change", changes)
        sizes = [float(run["size_bytes"]) for run in own]
        check(row, "size_bytes", sizes)
        assert [float(size) for size in row["size_bytes_values"].split()] == sizes
        ratios = [float(run["size_fp32_bytes"]) / float(run["size_bytes"]) for run in own]
        check_ratio(row, "compression_ratio", ratios)
        check(row, "sparsity", [float(run["sparsity"]) for run in own])


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
        sizes, changes = [], []
        for seed in seeds_of(rows, row):
            own = where(rows, **task_of(row), method=row["method"], seed=seed)
            target = float(own[0]["accuracy_validation_fp32"]) - float(row["drop"])
            points, _ = front(own)
            for (small, low, _), (large, high, _) in zip(points, points[1:], strict=False):
                if low <= target <= high:
                    share = (target - low) / (high - low)
                    sizes.append(small * (large / small) ** share)
                    test = along(own, sizes[-1], accuracy)
                    changes.append(test - float(own[0]["accuracy_fp32"]))
                    break
        assert int(row["n"]) == len(sizes)
        check_ratio(row, "size_bytes", sizes)
        check(row, "accuracy_change", changes)


def compared(rows, row, method, other, value, curve=front):
    """Ratios to which both have a run of any seed within 10 %, and each seed's mean difference."""
    by_seed = {seed: {} for seed in seeds_of(rows, row)}
    for ratio in (base * decade for base in R40 for decade in (1, 10, 100)):
        for seed, differences in by_seed.items():
            read = []
            for name in (method, other):
                own = where(rows, **task_of(row), method=name, seed=seed)
                size = float(own[0]["size_fp32_bytes"]) / ratio
                read.append(along(own, size, value, curve, 0.1))
            if None not in read:
                differences[ratio] = read[0] - read[1]
    ratios = sorted(set().union(*by_seed.values()))
    return ratios, [statistics.fmean(own.values()) for own in by_seed.values() if own]


def paired_points(rows, row, method, other, value):
    """Differences by seed over the points whose sizes agree within 3 % with every seed."""
    seeds = seeds_of(rows, row)
    sides = []
    for name in (method, other):
        runs = where(rows, **task_of(row), method=name, status="ok")
        points = {run["point"]: {r["seed"]: r for r in where(runs, point=run["point"])}
                  for run in runs}  # fmt: skip
        sides.append([own for own in points.values() if len(own) == len(seeds)])
    pairs = []
    for one in sides[0]:
        apart = [
            max(abs(math.log(float(one[s]["size_bytes"]) / float(two[s]["size_bytes"])))
                for s in seeds)
            for two in sides[1]
        ]  # fmt: skip
        if apart and min(apart) <= math.log(1.03):
            pairs.append((one, sides[1][apart.index(min(apart))]))
    return len(pairs), [
        statistics.fmean(value(one[seed]) - value(two[seed]) for one, two in pairs)
        for seed in (seeds if pairs else [])
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

        count, differences = paired_points(rows, row, row["method"], "uniform", value)
        if row["paired"] == "sizes":
            assert count == 0
            names = (row["method"], "uniform", value, everything)
            ratios, differences = compared(rows, row, *names)
            count = len(ratios)
        assert int(row["count"]) == count
        check(row, "difference", differences)


@pytest.mark.parametrize("name", ["contrasts", "ablation"])
def test_differences(folder, rows, maps, name):
    table = read(folder / f"{name}.csv")
    assert {row["measure"] for row in table} == {"accuracy", "pearson"}
    for row in table:
        if row["measure"] == "pearson":
            known = {}
            for one in where(maps, **task_of(row), metric="pearson", signed="True"):
                key = one["method"], one["point"], one["seed"]
                known.setdefault(key, []).append(float(one["mean"]))

            def value(run, known=known):
                return statistics.fmean(known[run["method"], run["point"], run["seed"]])

            count, differences = paired_points(rows, row, row["method"], row["other"], value)
            if not count:
                names = (row["method"], row["other"], value, everything)
                differences = compared(rows, row, *names)[1]
        elif row["method"] == "best trained":
            continue  # see test_table_layouts.py
        else:
            differences = compared(rows, row, row["method"], row["other"], accuracy)[1]
        check(row, "difference", differences)
        listed = [float(value) for value in row["values"].split()]
        assert listed == pytest.approx(differences, rel=1e-5)
    tested = sorted(float(row["p_t"]) for row in table if row["p_t"])
    least = min(float(row["p_t_holm"]) for row in table if row["p_t_holm"])
    assert least == pytest.approx(min(1, len(tested) * tested[0]))


def test_hypervolume(folder, rows, maps):
    for row in sampled(folder, "hypervolume", lambda row: row["volume_mean"]):
        task = where(rows, **task_of(row), status="ok")
        if row["explainer"]:
            measured = {one["method"] for one in where(maps, **task_of(row),
                                                       explainer=row["explainer"])}  # fmt: skip
            assert measured >= {run["method"] for run in task}
        ranges = []
        for method in {run["method"] for run in task}:
            for seed in seeds_of(rows, row):
                ratios = [float(run["size_fp32_bytes"]) / float(run["size_bytes"])
                          for run in where(task, method=method, seed=seed)]  # fmt: skip
                ranges.append((min(ratios), max(ratios)))
        low, high = max(one[0] for one in ranges), min(one[1] for one in ranges)
        assert float(row["ratio_least"]) == pytest.approx(low)
        assert float(row["ratio_most"]) == pytest.approx(high)
        volumes = []
        for seed in seeds_of(rows, row):
            points, _ = front(where(task, method=row["method"], seed=seed))
            steps = 4000
            volume = 0.0
            for step in range(steps):
                ratio = low * (high / low) ** ((step + 0.5) / steps)
                offered = [run for size, _, run in points
                           if size <= float(run["size_fp32_bytes"]) / ratio]  # fmt: skip
                height = max(2 * accuracy(offered[-1]) / float(offered[-1]["accuracy_fp32"]) - 1, 0)
                if row["explainer"]:
                    keys = {key: offered[-1][key] for key in ("method", "point", "seed")}
                    own = CACHE.setdefault((row["dataset"], row["explainer"], *keys.values()), [])
                    if not own:
                        own += where(maps, **task_of(row), **keys, explainer=row["explainer"],
                                     metric="pearson", signed="True")  # fmt: skip
                    height *= float(own[0]["mean"])
                volume += height * math.log2(high / low) / steps
            volumes.append(volume)
        mean = float(row["volume_mean"])
        assert mean == pytest.approx(statistics.fmean(volumes), rel=2e-3, abs=1e-3)
        assert float(row["bootstrap_low"]) == pytest.approx(min(volumes), rel=2e-3, abs=1e-3)
        assert float(row["bootstrap_high"]) == pytest.approx(max(volumes), rel=2e-3, abs=1e-3)


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
        check_ratio(row, "train_s_ratio", ratios)


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
