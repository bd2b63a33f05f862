"""The board: results of methods that others sent in, and whether they were measured again.

    python -m ecqx.board add ENTRY --results results --method mine --by "A. Name"
    python -m ecqx.board verify ENTRY

An entry is a folder of results of one method on the tasks that need no download, with its file
(``method.py``), every artefact and its record below ``runs/``, the rows of the collected tables,
``provenance.json``, ``config.yaml`` and ``entry.json`` (method, by whom, a link). It can be merged
and loaded like any other results. ``verify`` checks the file against the contract of methods,
decodes every artefact and measures it again: its bytes and its accuracy, and the consistency of the
first seed, for which it trains the full-precision networks anew. What agrees is marked by
``verified.json``.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import functools
import hashlib
import json
import multiprocessing
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import ecqx
from ecqx.results import files, keys, merging, provenance

ENTRY, MARK, METHOD = "entry.json", "verified.json", "method.py"
# How far measuring again may be off: other processors add in another order, and a sample at the
# border of two classes falls to the other side.
ACCURACY_OFF, MEASURE_OFF = 0.005, 0.02
_TABLES = ("runs", "attributions", "predictions", "layers", "methods")
_MEASURE = ["point", "explainer", "metric", "subset", "signed"]


def add(entry: Path, results: Path, method: str, file: Path, by: str, link: str) -> int:
    """Make an entry of a folder of results; the number of its runs.

    Parameters
    ----------
    entry : a folder that is not there yet.
    results : of a run of the workflow.
    method : name in the results.
    file : of the method.
    by, link : who sends it in, and where more is said of it; may be empty.

    Raises
    ------
    ValueError : the entry is there already, or the results have no run of the method on a task that
        needs no download.
    OSError : a file is missing.
    """
    from ecqx.compression import declared
    from ecqx.tasks import datasets

    if entry.exists():
        raise ValueError(f"{entry}: is there already, expected a new folder")
    part = merging.read(results)
    config = yaml.safe_load((results / "config.yaml").read_text(encoding="utf-8"))
    free = [name for name in datasets.names() if not hasattr(datasets.get(name), "missing")]
    runs = part.tables["runs"]
    runs = runs[(runs["method"] == method) & runs["dataset"].isin(free)]
    if runs.empty:
        raise ValueError(f"{results}: no run of {method} on {', '.join(free)}")
    places = [_folder(row) for row in runs.to_dict("records")]
    (entry / "tables").mkdir(parents=True)
    for name in _TABLES:
        table = part.tables[name]
        own = table[table["method"] == method]
        if "dataset" in own:
            own = own[own["dataset"].isin(free)]
        own.to_csv(entry / f"tables/{name}.csv", index=False, lineterminator="\n")
    for place in places:
        (entry / place).mkdir(parents=True)
        for name in ("model.nnc", "run.json"):
            shutil.copyfile(results / place / name, entry / place / name)
    shutil.copyfile(file, entry / METHOD)
    labels = [
        label
        for label in config["tasks"]
        if config["task_settings"][label]["dataset"] in set(runs["dataset"])
    ]
    config |= {
        "tasks": labels,
        "task_settings": {label: config["task_settings"][label] for label in labels},
        "methods": [method],
        "grids": {method: config["grids"][method]},
    }
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100)
    (entry / "config.yaml").write_text(text, encoding="utf-8")
    records = [json.loads((entry / place / "run.json").read_text("utf-8")) for place in places]
    provenance.of_records(records, {method: declared.read(entry / METHOD)}).write(entry)
    _write(entry / ENTRY, {"method": method, "by": by, "link": link})
    return len(runs)


def verify(entry: Path, tell=print) -> list[str]:
    """Measure an entry again, and mark it if all agrees.

    Returns
    -------
    list of str
        What does not agree, a line each; empty if the entry is verified.

    Raises
    ------
    ValueError, OSError : the folder is no entry.
    """
    from ecqx.checks import check_files

    start = time.perf_counter()
    (entry / MARK).unlink(missing_ok=True)
    known = provenance.read(entry)
    if known is None or not (entry / ENTRY).is_file():
        raise ValueError(f"{entry}: no {ENTRY} or {provenance.FILE}, expected those of an entry")
    if known.benchmark != keys.BENCHMARK_VERSION:
        return [f"benchmark version {known.benchmark}, this is {keys.BENCHMARK_VERSION}"]
    problems = []
    if check_files([entry / METHOD]):
        problems.append(f"{METHOD}: breaks the contract of methods, see above")
    config = yaml.safe_load((entry / "config.yaml").read_text(encoding="utf-8"))
    tasks = [config["task_settings"][label] for label in config["tasks"]]
    # a process each: torch computes on one thread, so that numbers do not depend on how many
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(len(tasks), mp_context=spawn) as pool:
        found = [pool.submit(_measure_task, entry, task, config["evaluation"]) for task in tasks]
        for task, future in zip(tasks, found, strict=True):
            outcome = future.result()
            problems += outcome["problems"]
            tell(
                f"{task['dataset']}/{task['model']}: {outcome['runs']} runs, accuracy off by "
                f"{outcome['accuracy_off']:.4f} at most, consistency by "
                f"{outcome['measure_off']:.4f}"
            )
    if not problems:
        outcomes = [future.result() for future in found]
        _write(
            entry / MARK,
            {
                "benchmark": keys.BENCHMARK_VERSION,
                "ecqx": ecqx.__version__,
                "on": datetime.date.today().isoformat(),
                "runs": sum(outcome["runs"] for outcome in outcomes),
                "accuracy_off": max(outcome["accuracy_off"] for outcome in outcomes),
                "measure_off": max(outcome["measure_off"] for outcome in outcomes),
                "seconds": round(time.perf_counter() - start),
            },
        )
    return problems


def board(folder: Path) -> str:
    """All entries of a folder as Markdown: what each reaches, and whether it was verified."""
    lines = [
        "# Board",
        "",
        "Methods that were sent in, on the tasks that need no download. A row is the smallest "
        "operating point within one point of full precision on validation data, its accuracy is on "
        "test data, both the mean over seeds. Verified: the artefacts were decoded and measured "
        "again, with the same outcome. CONTRIBUTING.md says how to send one in.",
        "",
        "| Method | By | Task | Seeds | Ratio | Accuracy [%] | Full precision [%] | Verified |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for entry in sorted(path.parent for path in folder.glob(f"*/{ENTRY}")):
        about = json.loads((entry / ENTRY).read_text(encoding="utf-8"))
        mark = entry / MARK
        verified = json.loads(mark.read_text("utf-8"))["on"] if mark.is_file() else "no"
        name = f"[{about['method']}]({entry.name}/{METHOD})"
        by = f"[{about['by']}]({about['link']})" if about["link"] else about["by"]
        for task, point in _smallest(files.read(entry / "tables/runs.csv")):
            lines.append(
                f"| {name} | {by} | {task} | {point['seeds']:.0f} | "
                f"{point['compression_ratio']:.1f} | {100 * point['accuracy']:.2f} | "
                f"{100 * point['accuracy_fp32']:.2f} | {verified} |"
                if point is not None
                else f"| {name} | {by} | {task} | – | – | – | – | {verified} |"
            )
    return "\n".join(lines) + "\n"


def _smallest(runs: pd.DataFrame) -> list[tuple[str, pd.Series | None]]:
    """Per task, the smallest operating point within one point of full precision."""
    found = []
    for dataset, model in keys.tasks_of(runs):
        own = keys.of_task(runs, (dataset, model))
        whole = own.groupby("point")["status"].transform(lambda status: (status == "ok").all())
        own = own[whole].assign(
            loss=own["accuracy_validation_fp32"] - own["accuracy_validation"], seeds=1
        )
        columns = ["compression_ratio", "size_bytes", "accuracy", "accuracy_fp32", "loss"]
        points = own.groupby("point")[columns].mean()
        points["seeds"] = own.groupby("point")["seeds"].sum()
        points = points[points["loss"] <= 0.01 + 1e-9].sort_values("size_bytes")
        found.append((f"{dataset} / {model}", None if points.empty else points.iloc[0]))
    return found


def _folder(row: dict[str, Any]) -> Path:
    return Path("runs", *(row[key] for key in keys.POINT), f"seed~{row['seed']}")


def _measure_task(entry: Path, task: dict[str, Any], evaluation: dict[str, Any]) -> dict[str, Any]:
    """Decode and measure the runs of one task; what was found, and what does not agree."""
    from ecqx.compression.artefact import bitstream, size
    from ecqx.evaluation.evaluate import accuracy, reference_of
    from ecqx.evaluation.measuring import measure
    from ecqx.tasks import datasets, models
    from ecqx.tasks.pretrain import full_precision
    from ecqx.tasks.runtime import choose_device, limit_threads, make_deterministic
    from ecqx.tasks.task import objective

    limit_threads(1)
    make_deterministic()
    device = choose_device(False)
    dataset = datasets.prepared(task["dataset"])
    _, score = objective(dataset)
    runs = files.read(entry / "tables/runs.csv")
    runs = keys.of_task(runs, (task["dataset"], task["model"]))
    runs = runs[runs["status"] == "ok"]
    claimed = files.read(entry / "tables/attributions.csv")
    claimed = keys.of_task(claimed, (task["dataset"], task["model"]))
    first = int(runs["seed"].min())
    trained = full_precision(dataset, task["model"], task["pretraining"], first, device)
    reference = reference_of(
        trained.model, dataset, evaluation["samples"], evaluation["explainers"]
    )
    build = functools.partial(
        models.network, task["model"], dataset.input_shape, len(dataset.classes)
    )
    size_fp32_bytes = size.full_precision_bytes(trained.model)
    problems, accuracies, measures = [], [0.0], [0.0]
    stated = float(runs.loc[runs["seed"] == first, "accuracy_fp32"].iloc[0])
    if abs(reference.accuracy - stated) > ACCURACY_OFF:
        problems.append(
            f"{task['dataset']}/{task['model']}: full precision of seed {first} is "
            f"{reference.accuracy:.4f} here, stated {stated:.4f}: consistency is of another network"
        )
    for row in runs.to_dict("records"):
        place = _folder(row)
        artefact = (entry / place / "model.nnc").read_bytes()
        record = json.loads((entry / place / "run.json").read_text(encoding="utf-8"))
        if len(artefact) != row["size_bytes"]:
            problems.append(
                f"{place}: {len(artefact)} bytes, the table says {row['size_bytes']:.0f}"
            )
        if hashlib.sha256(artefact).hexdigest() != record["sha256"]:
            problems.append(f"{place}: model.nnc is not what run.json is of")
        if row["seed"] == first:
            metrics, tables, *_ = measure(
                artefact, build, size_fp32_bytes, device, dataset, reference, trained.model,
                # what is not compared below, and older entries do not name
                evaluation | {"faithfulness": {"samples": 0}},
            )  # fmt: skip
            own = claimed[(claimed["point"] == row["point"]) & (claimed["seed"] == first)]
            again = pd.DataFrame(tables["attributions"]).assign(point=row["point"])
            both = own.merge(again, on=_MEASURE, how="outer", suffixes=("_stated", ""))
            off = (both["mean_stated"] - both["mean"]).abs()
            # undefined on both sides is the same
            lacking = both["mean_stated"].isna() != both["mean"].isna()
            measures.append(float(off.max(skipna=True)) if off.notna().any() else 0.0)
            for wrong in both[(off > MEASURE_OFF) | lacking].head(3).to_dict("records"):
                problems.append(
                    f"{place}: {wrong['explainer']} {wrong['metric']} is {wrong['mean']:.4f}, the "
                    f"table says {wrong['mean_stated']:.4f}"
                )
            reached = metrics["accuracy"]
        else:
            model = build(**bitstream.architecture(artefact))
            bitstream.load(model, bitstream.decode(artefact))
            reached = accuracy(model.to(device), dataset.test, score)
        accuracies.append(abs(reached - row["accuracy"]))
        if not accuracies[-1] <= ACCURACY_OFF:
            problems.append(
                f"{place}: accuracy is {reached:.4f}, the table says {row['accuracy']:.4f}"
            )
    return {
        "runs": len(runs),
        "problems": problems,
        "accuracy_off": max(accuracies),
        "measure_off": max(measures),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m ecqx.board", description=__doc__.partition("\n")[0],
        epilog="Exit status: 0, 1 if an entry does not agree, 2 if there is none to look at.",
    )  # fmt: skip
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")
    made = commands.add_parser("add", help="make an entry of results")
    made.add_argument("entry", type=Path, metavar="ENTRY", help="a folder that is not there yet")
    made.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER")
    made.add_argument("--method", required=True, metavar="NAME", help="its name in the results")
    made.add_argument("--file", type=Path, metavar="FILE", help="of the method (baselines/NAME.py)")
    made.add_argument("--by", required=True, metavar="WHO", help="who sends it in")
    made.add_argument("--link", default="", metavar="URL", help="where more is said of it")
    again = commands.add_parser("verify", help="decode an entry and measure it again")
    again.add_argument("entry", type=Path, metavar="ENTRY", help="its folder")
    options = parser.parse_args(arguments)
    entry = options.entry
    try:
        if options.name == "add":
            file = options.file or Path(f"baselines/{options.method}.py")
            count = add(entry, options.results, options.method, file, options.by, options.link)
            print(f"{entry}: {count} runs")
            problems = []
        else:
            problems = verify(entry)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    (entry.parent / "README.md").write_text(board(entry.parent), encoding="utf-8")
    for problem in problems:
        print(problem, file=sys.stderr)
    if options.name == "verify":
        print(f"{entry}: {'not verified' if problems else 'verified'}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
