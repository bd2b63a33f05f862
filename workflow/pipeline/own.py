"""Data sets and models that the configuration describes itself, instead of naming a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecqx.tasks import datasets, models, own_data
from ecqx.tasks.own_model import OwnModel

Entry = str | Mapping[str, Any]


def name_of(entry: Entry) -> str:
    """The name in paths and tables of a task's ``dataset`` or ``model``."""
    return entry if isinstance(entry, str) else entry["name"]


def tasks(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Label -> settings of the tasks to run, data set and model by name."""
    found = {}
    for label in config["tasks"]:
        settings = config["task_settings"][label]
        named = {key: name_of(settings[key]) for key in ("dataset", "model")}
        found[label] = dict(settings) | named
    return found


def described(config: Mapping[str, Any], key: str) -> dict[str, Mapping[str, Any]]:
    """Name -> mapping of the own data (``key`` "dataset") or models ("model") of the tasks."""
    entries = (config["task_settings"][label][key] for label in config["tasks"])
    return {entry["name"]: entry for entry in entries if not isinstance(entry, str)}


def register(config: Mapping[str, Any]) -> None:
    """Let :mod:`ecqx.tasks.datasets` and :mod:`ecqx.tasks.models` find them by name."""
    for name, entry in described(config, "dataset").items():
        datasets.register(name, own_data.describe(entry))
    for name, entry in described(config, "model").items():
        models.register(name, OwnModel(**entry))
