"""One HTML file that needs no other: data, style, scripts and the plotting library inside.

A Content-Security-Policy in the file forbids every request and every script but those that it was
written with, each known by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.resources
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from ecqx.page.about import About, of
from ecqx.page.maps import BUDGET, Gallery, embedded
from ecqx.page.payload import payload, run_numbers
from ecqx.results import files, provenance, style
from ecqx.results.variants import by_variant, variants

LIBRARY = "vendor/plotly-basic.min.js"
LICENSE = "vendor/plotly-LICENSE.txt"
# In the order in which they run: each may use those before it.
SCRIPTS = tuple(
    f"scripts/{name}.js"
    for name in (
        "statistics",
        "data",
        "files",
        "colors",
        "selection",
        "state",
        "axes",
        "points",
        "drawing",
        "export",
        "zoom",
        "keys",
        "panels",
        "run",
        "table",
        "about",
        "page",
    )
)


def render(
    runs: pd.DataFrame,
    attributions: pd.DataFrame,
    galleries: Sequence[Gallery] = (),
    methods: pd.DataFrame | None = None,
    about: About | None = None,
) -> str:
    """A page to explore the results with: plots, filters, table, attributions of a run.

    Parameters
    ----------
    runs, attributions : DataFrame, as runs.csv and attributions.csv; columns that older tables lack
        may be absent. Runs whose status is not ``ok`` (``diverged``, ``failed``, ``skipped``) are
        counted and listed, with the text in the column ``reason`` if there is one.
    galleries : sequence of Gallery, attribution maps, one gallery per task; without one its runs
        are shown without maps. Of all of them as many samples and explainers are kept as
        `maps.BUDGET` allows.
    methods : DataFrame, optional; as methods.csv, for what operating points are called.
    about : About, optional; what the results were made by.

    Returns
    -------
    str
        An HTML document, to be written as UTF-8. The same arguments give the same text.

    Raises
    ------
    ValueError : a column is missing, or a run or a row of attributions occurs twice.
    """
    data = payload(runs, attributions, methods)
    data["about"] = asdict(about or About())
    data["maps"] = embedded(galleries, run_numbers(runs))
    data["maps_budget"] = BUDGET
    scripts = [_asset(LIBRARY), *map(_asset, SCRIPTS)]
    for name, text in zip((LIBRARY, *SCRIPTS), scripts, strict=True):
        # Either would end, or hide the end of, the element that holds the script.
        if re.search(r"</script|<!--", text, re.IGNORECASE):
            raise ValueError(f"{name}: holds '</script' or '<!--', expected neither")
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(f"'{_hash(text)}'" for text in scripts),
            "style-src 'unsafe-inline'",  # the library writes style attributes
            "img-src data: blob:",  # a plot on its way to a file
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = {
        "policy": html.escape(policy, quote=True).replace("&#x27;", "'"),
        "license": _asset(LICENSE).replace("--", "- -"),
        "style": _asset("page.css"),
        "data": json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
        "scripts": "\n".join(f"<script>{text}</script>" for text in scripts),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def render_folder(folder: str | Path, galleries: Sequence[Gallery] = ()) -> str:
    """The page of a folder of results, see :func:`render`.

    Parameters
    ----------
    folder : path, with runs.csv and attributions.csv, there or in ``tables/``.
    galleries : sequence of Gallery, methods by the names of their variants.

    Raises
    ------
    ValueError : a table is missing or is none.
    """
    paths = {name: files.find(folder, name) for name in ("runs", "attributions", "methods")}
    for name in ("runs", "attributions"):
        if paths[name] is None:
            raise ValueError(f"{folder}: no {name}.csv or {name}.csv.gz, there or in tables/")
    # pandas' faster reading may change the last digit; the page hands numbers out again
    runs, attributions = (
        pd.read_csv(paths[name], float_precision="round_trip") for name in ("runs", "attributions")
    )
    style.register(provenance.looks(folder))
    methods = files.read(paths["methods"]) if paths["methods"] is not None else None
    names = variants(runs, methods)
    return render(
        by_variant(runs, names), by_variant(attributions, names), galleries, methods, of(folder)
    )


def _asset(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
