"""How long the page of the results takes to be made, to open, and to follow a filter.

    python -m benchmarks.page_open [--runs 10000] [--repeats 5] [--tables results/reference/tables]

Opens the page of the given tables and one of made-up runs in headless Chromium (Debian packages
chromium and chromium-driver). Prints one JSON line per page: size of the file, seconds to make it,
median seconds from the start of loading to the first painting of everything, and from a click on a
filter to the next painting.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from benchmarks.make_results import make_attributions, make_runs
from ecqx import page

CLICK = """
const done = arguments[0];
const start = performance.now();
document.querySelector("#filter-seed input").click();
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
"""


def browser() -> webdriver.Chrome:
    driver = shutil.which("chromedriver")
    if driver is None:
        sys.exit("no chromedriver: install the packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1400,900"):
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def measure(chrome: webdriver.Chrome, path: Path, repeats: int) -> tuple[float, float]:
    """Median seconds to open, and to follow a filter."""
    ready = "return performance.getEntriesByName('ready')[0]?.startTime"
    opened, filtered = [], []
    for _ in range(repeats):
        chrome.get("about:blank")
        chrome.get(path.as_uri())
        opened.append(WebDriverWait(chrome, 60).until(lambda found: found.execute_script(ready)))
        filtered.append(chrome.execute_async_script(CLICK))
    return statistics.median(opened) / 1e3, statistics.median(filtered) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tables", type=Path, default=Path("results/reference/tables"))
    options = parser.parse_args()
    attributions = next(options.tables.glob("attributions.csv*"))
    collected = pd.read_csv(options.tables / "runs.csv"), pd.read_csv(attributions)
    runs = make_runs(options.runs)
    made_up = runs, make_attributions(runs)
    chrome = browser()
    try:
        for name, tables in ((str(options.tables), collected), ("made up", made_up)):
            start = time.perf_counter()
            text = page.render(*tables)
            made = time.perf_counter() - start
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "page.html")
                path.write_text(text, encoding="utf-8")
                opened, filtered = measure(chrome, path, options.repeats)
            row = {
                "tables": name,
                "runs": len(tables[0]),
                "megabytes": round(len(text) / 1e6, 2),
                "make_s": round(made, 2),
                "open_s": round(opened, 2),
                "filter_s": round(filtered, 2),
            }
            print(json.dumps(row), flush=True)
    finally:
        chrome.quit()


if __name__ == "__main__":
    main()
