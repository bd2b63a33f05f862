"""Checks of a configuration before any job starts: one line per problem, no torch import.

A line names the key, the value and what is expected there.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError

from ecqx.compression import declared
from ecqx.evaluation.complexity import COMPLEXITIES
from ecqx.evaluation.consistency import METRICS
from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.evaluation.localisation import LOCALISATIONS
from ecqx.tasks import own_data
from ecqx.tasks.own_model import OwnModel
from pipeline import own
from pipeline.planning.run_table import expand_grid

_EVALUATION_KINDS = {
    "explainers": EXPLAINERS,
    "metrics": METRICS,
    "localisation": LOCALISATIONS,
    "complexity": COMPLEXITIES,
}
_NUMBER = re.compile(r"(?P<mantissa>[+-]?\d+(\.\d*)?)(e(?P<sign>[+-]?)(?P<exponent>\d+))?", re.I)


def problems(config: Mapping[str, Any], root: Path) -> list[str]:
    """Everything that can be said about a configuration without importing a method.

    Parameters
    ----------
    config : the merged configuration.
    root : repository root; methods are the files of ``baselines/``, data sets and models those of
        ``ecqx/tasks/datasets/`` and ``ecqx/tasks/models/``.

    Returns
    -------
    list of lines, empty if the configuration is sound so far. Values are only checked against each
    other once all of them have the right form.
    """
    schema = yaml.safe_load((root / "workflow/schemas/config.schema.yaml").read_text("utf-8"))
    return (
        list(_odd_values(config))
        or schema_problems(config, schema)
        or list(_cross_problems(config, root))
    )


def _odd_values(value: Any, parts: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Lines for values that no key can have: numbers that are none, texts that cannot be shown."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str) and not key.isprintable():
                yield f"{key_path(parts)}: got the key {key!r}, expected printable characters"
            else:
                yield from _odd_values(item, (*parts, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _odd_values(item, (*parts, index))
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{key_path(parts)}: got {value}, expected a finite number"
    elif isinstance(value, str) and not value.isprintable():
        yield f"{key_path(parts)}: got {value!r}, expected printable characters on one line"


def schema_problems(config: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Lines for keys and values that the schema refuses.

    Source of the expectation: the ``description`` beside the violated constraint.
    """
    errors = sorted(Draft202012Validator(schema).iter_errors(config), key=lambda e: e.json_path)
    return list(dict.fromkeys(line for error in errors for line in _schema_lines(error)))


def _schema_lines(error: ValidationError) -> Iterator[str]:
    where = key_path(error.absolute_path)
    expected = error.schema.get("description", error.message)
    if error.validator == "additionalProperties":
        known = sorted(error.schema["properties"])
        for key in error.instance:
            if key not in error.schema["properties"]:
                yield f"{join(where, key)}: unknown key, expected {one_of(key, known)}"
    elif error.validator == "required":
        for key in error.validator_value:
            if key not in error.instance:
                yield f"{join(where, key)}: missing, expected {expected}"
    elif error.validator == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        yield f"{where}: got the key {error.instance!r}, expected {expected}"
    else:
        yield f"{where}: got {_shown(error.instance)}, expected {expected}{_hint(error.instance)}"


def _shown(value: Any) -> str:
    return f"{value!r} (text)" if isinstance(value, str) else json.dumps(value, default=str)


def _hint(value: Any) -> str:
    """What to write instead of a number that YAML took for text."""
    match = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        return ""
    if match["exponent"] is None:
        return f"; write {value.strip()} without quotes, in a configuration file"
    mantissa = match["mantissa"] + ("" if "." in match["mantissa"] else ".0")
    written = f"{mantissa}e{match['sign'] or '+'}{match['exponent']}"
    return f"; YAML reads {value.strip()} as text: write {written}"


def key_path(parts: Iterable[str | int]) -> str:
    """``grids.ecq[0].lam`` for ("grids", "ecq", 0, "lam"); ``configuration`` for the top level."""
    text = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)
    return text.lstrip(".") or "configuration"


def join(where: str, key: Any) -> str:
    """The path of a key below ``where``."""
    return str(key) if where == "configuration" else f"{where}.{key}"


def one_of(value: Any, known: Sequence[str]) -> str:
    """The known names as an expectation, the closest one first in line."""
    close = difflib.get_close_matches(str(value), known, n=1)
    suggestion = f" (did you mean {close[0]}?)" if close else ""
    return f"one of {', '.join(known)}{suggestion}"


def module_names(folder: Path) -> list[str]:
    """Names of the Python files in a folder, those with a leading underscore left out."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def _cross_problems(config: Mapping[str, Any], root: Path) -> Iterator[str]:
    yield from _results_problems(config["results_dir"])
    yield from _method_problems(config, module_names(root / "baselines"))
    yield from _declaration_problems(config["methods"], root / "baselines")
    yield from _grid_problems(config["grids"])
    yield from _task_problems(config, root / "ecqx/tasks")
    evaluation = config["evaluation"]
    for key, registered in _EVALUATION_KINDS.items():
        known = sorted(registered)
        for index, name in enumerate(evaluation[key]):
            if name not in known:
                yield f"evaluation.{key}[{index}]: got {name!r}, expected {one_of(name, known)}"
    if evaluation["gallery_samples"] > evaluation["samples"]:
        yield (
            f"evaluation.gallery_samples: got {evaluation['gallery_samples']}, "
            f"expected at most evaluation.samples = {evaluation['samples']}"
        )


def _results_problems(named: str) -> Iterator[str]:
    folder = Path(os.path.expanduser(named))
    if folder.parts and folder.parts[0].startswith("~"):
        yield f"results_dir: got {named!r}, expected ~ or the name of a user behind it"
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            yield f"results_dir: got {named!r}, expected a folder; {path} is none"


def _method_problems(config: Mapping[str, Any], known: Sequence[str]) -> Iterator[str]:
    for index, method in enumerate(config["methods"]):
        if method not in known:
            yield f"methods[{index}]: got {method!r}, expected {one_of(method, known)}"
        elif method not in config["grids"]:
            yield f"grids.{method}: missing, expected a list of blocks for methods[{index}]"
    for method in config["grids"]:
        if method not in known:
            yield f"grids.{method}: unknown method, expected {one_of(method, known)}"


def _declaration_problems(methods: Sequence[str], baselines: Path) -> Iterator[str]:
    for method in methods:
        path = baselines / f"{method}.py"
        if path.is_file():
            try:
                declared.read(path)
            except ValueError as error:
                yield str(error)


def _grid_problems(grids: Mapping[str, Any]) -> Iterator[str]:
    for method, blocks in grids.items():
        texts = list(_numbers_as_text(method, blocks))
        yield from texts
        try:
            expand_grid(blocks)
        except ValueError as error:
            if not texts:
                text = str(error)
                yield f"grids.{method}{text if text.startswith('[') else '.' + text}"


def _numbers_as_text(method: str, blocks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for index, block in enumerate(blocks):
        for parameter, values in block.items():
            for at, value in enumerate(values if isinstance(values, list) else [values]):
                if hint := _hint(value):
                    parts = ["grids", method, index, parameter]
                    where = key_path([*parts, at] if isinstance(values, list) else parts)
                    yield f"{where}: got {_shown(value)}, expected a number{hint}"


def _task_problems(config: Mapping[str, Any], tasks_folder: Path) -> Iterator[str]:
    settings = config["task_settings"]
    for index, label in enumerate(config["tasks"]):
        if label not in settings:
            yield f"tasks[{index}]: got {label!r}, expected {one_of(label, sorted(settings))}"
    taken: dict[tuple[str, str], str] = {}
    entries: dict[tuple[str, str], Mapping[str, Any]] = {}
    for label, task in settings.items():
        lines = []
        for key in ("dataset", "model"):
            known = module_names(tasks_folder / f"{key}s")
            where, entry = f"task_settings.{label}.{key}", task[key]
            if isinstance(entry, str):
                if entry not in known:
                    lines.append(f"{where}: got {entry!r}, expected {one_of(entry, known)}")
                continue
            found = _own_problem(where, key, entry, known)
            if found is None:
                first = entries.setdefault((key, entry["name"]), entry)
                if first != entry:
                    found = (
                        f"{where}.name: got {entry['name']!r} for two different mappings, "
                        "expected a name for each"
                    )
            lines += [found] if found else []
        yield from lines
        if lines or label not in config["tasks"]:
            continue
        pair = (own.name_of(task["dataset"]), own.name_of(task["model"]))
        if pair in taken:
            yield (
                f"task_settings.{label}: got the data set and model of {taken[pair]} "
                f"({pair[0]}, {pair[1]}), expected a pair of its own"
            )
        taken.setdefault(pair, label)


def _own_problem(
    where: str, key: str, entry: Mapping[str, Any], names: Sequence[str]
) -> str | None:
    """One line on the first mistake in a mapping that describes own data or an own model."""
    if key == "dataset":
        kind, kinds = entry["kind"], own_data.kinds()
        if kind not in kinds:
            return f"{where}.kind: got {kind!r}, expected {one_of(kind, kinds)}"
        known = ["kind", *own_data.keys(kind)]
        for name in entry:
            if name not in known:
                return f"{where}.{name}: unknown key, expected {one_of(name, known)}"
    try:
        if key == "dataset":
            own_data.describe(entry)
        else:
            OwnModel(**entry)
    except ValueError as error:
        return f"{where}.{error}"
    if entry["name"] in names:
        return f"{where}.name: got {entry['name']!r}, expected another name than those of files"
    return None
