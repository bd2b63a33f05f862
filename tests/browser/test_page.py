"""The page in a real browser: what is drawn, how it is used, that it asks nothing of a network.

Needs Chromium and its driver (Debian: the packages chromium and chromium-driver).
"""

import html
import io
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import colormaps
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from ecqx import page
from ecqx.page import maps
from ecqx.results import statistics, style

DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not (DRIVER and BROWSER), reason="no Chromium")
TABLES = Path(__file__).parents[2] / "results/reference/tables"
REASON = f"ValueError: step <b>inf</b> & more, {'expected a finite number, ' * 5}got inf"
READY = "return performance.getEntriesByName('ready').length > 0"
# Points that a panel draws as means, with what they say of themselves.
MEANS = """
return document.querySelectorAll('.plot')[arguments[0]].data
  .filter((trace) => trace.error_y)
  .flatMap((trace) => trace.x.map((x, i) => ({
    method: trace.name, x, y: trace.y[i], text: trace.text[i],
    xBar: trace.error_x.array[i], yBar: trace.error_y.array[i],
    filled: trace.marker.color[i] === trace.marker.line.color[i]
      || trace.marker.color[i] !== arguments[1],
    rim: trace.marker.line.color[i] === arguments[2],
  })));
"""


@pytest.fixture(scope="module")
def tables():
    """The reference results, of which some runs are made to have failed."""
    runs = pd.read_csv(TABLES / "runs.csv", float_precision="round_trip")
    attributions = pd.read_csv(next(TABLES.glob("attributions.csv*")))
    measured = ["accuracy", "size_bytes", "compression_ratio", "sparsity", "entropy_bytes"]
    runs[measured] = runs[measured].astype(float)
    failed = runs.index[[1, 4, 40, 41, 42]]
    runs.loc[failed, measured] = np.nan
    runs.loc[failed, "status"] = ["diverged", "failed", "diverged", "diverged", "skipped"]
    runs.loc[failed[1], "reason"] = REASON
    keys = ["dataset", "model", "method", "point", "seed"]
    gone = attributions[keys].merge(runs.loc[failed, keys].assign(gone=True), on=keys, how="left")
    return runs, attributions[gone["gone"].isna().to_numpy()]


@pytest.fixture(scope="module")
def gallery(tables):
    """Maps of every run of the first task with the first seed."""
    runs, _ = tables
    rng = np.random.default_rng(0)
    first = runs.iloc[0]
    here = runs[(runs["dataset"] == first["dataset"]) & (runs["model"] == first["model"])]
    here = here[(here["seed"] == 0) & (here["status"] == "ok")]
    return page.Gallery(
        first["dataset"],
        first["model"],
        seed=0,
        images=rng.random((2, 1, 6, 8)),
        classes=["one", "two"],
        reference={name: rng.normal(size=(2, 6, 8)) for name in ("lrp", "grad_cam")},
        runs={
            key: {name: rng.normal(size=(2, 6, 8)) for name in ("lrp", "grad_cam")}
            for key in here[["method", "point"]].itertuples(index=False, name=None)
        },
        masks=np.pad(np.ones((2, 2, 4), bool), ((0, 0), (2, 2), (2, 2))),
    )


@pytest.fixture(scope="module")
def file(tables, gallery, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page.render(*tables, [gallery]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chrome(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.folder = tmp_path_factory.mktemp("downloads")
    behavior = {"behavior": "allow", "downloadPath": str(driver.folder)}
    driver.execute_cdp_cmd("Browser.setDownloadBehavior", behavior)
    yield driver
    driver.quit()


@pytest.fixture
def opened(chrome, file):
    """The page, newly opened in a window of a given width; afterwards nothing has gone wrong."""

    def open_page(width=1400, dark=False, path=file):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        chrome.get("about:blank")
        chrome.get_log("browser"), chrome.get_log("performance")
        chrome.get(path.as_uri())
        wait(chrome, lambda: chrome.execute_script(READY))
        return chrome

    yield open_page
    assert chrome.get_log("browser") == []


def wait(driver, condition):
    return WebDriverWait(driver, 60, poll_frequency=0.05).until(lambda _: condition())


def find(driver, selector):
    return driver.find_elements("css selector", selector)


def text_of(driver, name):
    return driver.find_element("id", name).get_attribute("textContent")


def click(driver, element):
    driver.execute_script("arguments[0].click()", element)


def choose(driver, name, value):
    Select(driver.find_element("id", name)).select_by_value(value)


def box(driver, group, label):
    """The check box of a filter."""
    (found,) = [
        one
        for one in find(driver, f"#filter-{group} .choices label")
        if one.get_attribute("textContent") == label
    ]
    return found.find_element("css selector", "input")


def press(driver, *keys):
    for key in keys:
        ActionChains(driver).send_keys(key).perform()


def focus(driver, panel):
    driver.execute_script("document.querySelectorAll('.plot')[arguments[0]].focus()", panel)


def color(driver, token):
    script = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])"
    return driver.execute_script(script, token).strip()


def listed(driver):
    """Numbers of the runs in the table."""
    script = "return [...document.querySelectorAll('#table tbody tr')].map((r) => r.dataset.run)"
    return [int(number) for number in driver.execute_script(script)]


def of_task(frame, runs, number):
    """Rows of the task that the page shows in this place."""
    tasks = runs[["dataset", "model"]].drop_duplicates()
    return frame.merge(tasks.iloc[[number]], on=["dataset", "model"])


def drawn_means(driver, panel):
    return driver.execute_script(MEANS, panel, color(driver, "--paper"), color(driver, "--ink"))


def download(driver):
    for old in driver.folder.iterdir():
        old.unlink()
    click(driver, driver.find_element("id", "download"))
    path = driver.folder / "ecqx-selection.csv"
    wait(driver, path.exists)
    return pd.read_csv(io.StringIO(path.read_text(encoding="utf-8")), float_precision="round_trip")


# ---- the file ----


@pytest.mark.parametrize("width", [400, 1400])
def test_it_asks_nothing_of_a_network_and_fits_the_window(opened, width):
    driver = opened(width)
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = {
        event["params"]["request"]["url"].split(":")[0]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked <= {"file", "data", "blob", "about"} and "file" in asked
    assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    boxes = [plot.rect["width"] for plot in find(driver, ".plot")]
    assert len(boxes) == 3 and all(250 < wide <= width for wide in boxes)


def test_its_policy_refuses_requests_and_scripts(opened):
    driver = opened()
    script = """
    const done = arguments[0];
    const refused = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      refused.push(event.effectiveDirective);
      refused.length === 3 && done(refused.sort());
    });
    fetch("http://localhost:9/").catch(() => {});
    document.body.append(Object.assign(new Image(), { src: "http://localhost:9/a.png" }));
    const added = document.createElement("script");
    added.textContent = "window.harm = 1";
    document.body.append(added);
    """
    refused = driver.execute_async_script(script)
    assert refused == ["connect-src", "img-src", "script-src-elem"]
    assert driver.execute_script("return window.harm === undefined")
    assert len(driver.get_log("browser")) >= 3  # the refusals themselves


# ---- what is drawn ----


@pytest.mark.parametrize(
    ("x", "y", "x_factor", "x_better"),
    [("size_bytes", "accuracy", 1e-3, -1), ("sparsity", "accuracy", 100, 1)],
)
def test_means_intervals_and_fronts_are_those_of_the_tables(
    opened, tables, x, y, x_factor, x_better
):
    driver = opened()
    choose(driver, "x", x)
    points = statistics.aggregate_points(tables[0])
    on_validation = statistics.aggregate(
        tables[0][tables[0]["status"] == "ok"], statistics.POINT, ["accuracy_validation"]
    )
    points = points.merge(on_validation, on=statistics.POINT, how="left")
    for panel in range(3):
        expected = of_task(points, tables[0], panel).dropna(subset=[f"{x}_mean", f"{y}_mean"])
        # equal up to rounding: told apart by the other axis
        expected["key"] = (expected[f"{x}_mean"] * x_factor).round(6)
        expected = expected.sort_values(["key", f"{y}_mean"]).reset_index(drop=True)
        found = pd.DataFrame(drawn_means(driver, panel)).astype({"xBar": float, "yBar": float})
        found = found.assign(key=found["x"].astype(float).round(6)).sort_values(["key", "y"])
        found = found.reset_index(drop=True)
        assert len(found) == len(expected)
        np.testing.assert_allclose(found["x"], expected[f"{x}_mean"] * x_factor)
        np.testing.assert_allclose(found["y"], expected[f"{y}_mean"] * 100)
        np.testing.assert_allclose(found["xBar"], expected[f"{x}_half_width"] * x_factor)
        np.testing.assert_allclose(found["yBar"], expected[f"{y}_half_width"] * 100)
        gain = expected["accuracy_validation_mean"].where(expected["complete"])
        cost = -x_better * expected[f"{x}_mean"]
        np.testing.assert_array_equal(found["rim"], statistics.pareto_front(gain, cost))
        for method in expected["method"].unique():
            own = (expected["method"] == method).to_numpy()
            front = statistics.pareto_front(gain[own], cost[own])
            np.testing.assert_array_equal(found["filled"][own], front)


def test_an_axis_of_attributions(opened, tables):
    driver = opened()
    runs, attributions = tables
    explainer, metric = attributions[["explainer", "metric"]].iloc[-1]
    choose(driver, "y", json.dumps([explainer, metric], separators=(",", ":")))
    choose(driver, "subset", "both_correct")
    choose(driver, "signed", "false")
    chosen = attributions[
        (attributions["explainer"] == explainer)
        & (attributions["metric"] == metric)
        & (attributions["subset"] == "both_correct")
        & ~attributions["signed"].astype(bool)
    ]
    drawn = 0
    for panel in range(3):
        rows = of_task(chosen, runs, panel)
        networks = rows[~rows["method"].isin(statistics.ANCHORS)]
        means = networks.groupby(["method", "point"])["mean"].mean().dropna()
        if means.empty:
            assert find(driver, ".plot")[panel].text.startswith("No selected run")
            continue
        drawn += 1
        found = [point["y"] for point in drawn_means(driver, panel)]
        np.testing.assert_allclose(sorted(found), sorted(means), rtol=1e-6)
        script = "return document.querySelectorAll('.plot')[arguments[0]].layout.shapes"
        lines = [shape["y0"] for shape in driver.execute_script(script, panel)]
        anchors = rows[rows["method"].isin(statistics.ANCHORS)].groupby("method")["mean"].mean()
        np.testing.assert_allclose(sorted(lines), sorted(anchors.dropna()))
    assert drawn


def test_runs_without_a_result_are_counted_and_come_first(opened, tables):
    driver = opened()
    runs, _ = tables
    absent = runs.index[runs["status"] != "ok"]
    n, counts = len(runs), runs["status"].value_counts()
    statuses = ("ok", "diverged", "failed", "skipped")
    expected = ", ".join(f"{counts[name]} {name}" for name in statuses)
    assert text_of(driver, "summary").startswith(f"{n} of {n} runs selected: {expected}.")
    assert listed(driver)[: len(absent)] == list(absent)
    first = find(driver, "#table tbody tr")[0]
    assert "diverged" in first.text and "absent" in first.get_attribute("class")
    notes = " ".join(note.text for note in find(driver, ".panel .warning"))
    assert sum(notes.count(name) for name in statuses) == len(
        runs.loc[absent, ["dataset", "method", "status"]].drop_duplicates()
    )
    assert "Not on the plot" in notes


def test_plots_out_of_sight_are_drawn_once_scrolled_to(opened):
    driver = opened(400)
    drawn = "return document.querySelectorAll('.plot')[2].data !== undefined"
    assert not driver.execute_script(drawn)
    driver.execute_script("document.querySelectorAll('.plot')[2].scrollIntoView()")
    wait(driver, lambda: driver.execute_script(drawn))


# ---- filters, table, download ----


def test_filters_change_plots_table_and_download(opened, tables):
    driver = opened()
    runs, _ = tables
    method = [entry for entry in find(driver, "#filter-method .choices label")][0]
    label = method.get_attribute("textContent")
    name = method.find_element("css selector", "input").get_attribute("value")
    last = runs[["dataset", "model"]].iloc[-1]
    for group, value in (("method", label), ("bits", "4"), ("seed", "1"),
                         ("task", style.task_label(*last))):  # fmt: skip
        click(driver, box(driver, group, value))
    kept = runs[
        (runs["method"] != name)
        & (runs["bits"] != 4)
        & (runs["seed"] != 1)
        & ~((runs["dataset"] == last["dataset"]) & (runs["model"] == last["model"]))
    ]
    assert f"{len(kept)} of {len(runs)} runs selected" in text_of(driver, "summary")
    assert len(find(driver, ".plot")) == 2
    assert {point["method"] for point in drawn_means(driver, 0)}.isdisjoint({label})
    assert set(listed(driver)) <= set(kept.index)
    found = download(driver)
    assert list(found.columns) == list(runs.columns)
    expected = pd.concat([kept[kept["status"] != "ok"], kept[kept["status"] == "ok"]])
    pd.testing.assert_frame_equal(
        found, expected.reset_index(drop=True), check_dtype=False, check_exact=True
    )


def test_downloaded_attributions_and_order(opened, tables):
    driver = opened()
    runs, attributions = tables
    explainer, metric = attributions[["explainer", "metric"]].iloc[0]
    choose(driver, "y", json.dumps([explainer, metric], separators=(",", ":")))
    click(driver, find(driver, "#table button[data-key=accuracy]")[0])
    click(driver, find(driver, "#table button[data-key=accuracy]")[0])
    assert find(driver, "th[aria-sort=descending]")[0].text.startswith("Accuracy")
    found = download(driver)
    accuracy = found["accuracy"].dropna().to_numpy()
    assert (np.diff(accuracy) <= 0).all() and len(accuracy) == (runs["status"] == "ok").sum()
    assert found["accuracy"].iloc[len(accuracy) :].isna().all()
    column = f"{metric}/{explainer}/all/signed"
    rows = attributions[
        (attributions[["explainer", "metric"]] == [explainer, metric]).all(axis=1)
        & (attributions["subset"] == "all")
        & attributions["signed"].astype(bool)
    ]
    keys = ["dataset", "model", "method", "point", "seed"]
    both = found.merge(rows, on=keys, how="left")
    np.testing.assert_allclose(both[column], both["mean"], rtol=1e-6)


def test_the_table_grows_on_demand(opened, tables):
    driver = opened()
    assert len(listed(driver)) == 100
    click(driver, driver.find_element("id", "show-more"))
    assert len(listed(driver)) == 200
    assert text_of(driver, "listed") == f"200 of {len(tables[0])} rows listed."
    row = find(driver, "#table tbody tr")[150]
    click(driver, row.find_element("css selector", "button"))
    assert len(listed(driver)) == 200 and row.get_attribute("aria-current") == "true"


def test_nothing_selected(opened):
    driver = opened()
    click(driver, find(driver, "#filter-method legend button")[1])
    assert text_of(driver, "summary").startswith("0 of ")
    assert all(plot.text.startswith("No run") for plot in find(driver, ".plot"))
    assert listed(driver) == []
    click(driver, find(driver, "#filter-method legend button")[0])
    assert len(drawn_means(driver, 0)) > 0


def test_tables_without_attributions(opened, tables, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page.render(tables[0], tables[1].iloc[:0]), encoding="utf-8")
    driver = opened(path=path)
    click(driver, find(driver, "#table tbody tr:not(.absent) button")[0])
    assert "No attributions of this run." in text_of(driver, "run")
    assert "no attribution maps for this task" in text_of(driver, "run")


def test_tables_without_reasons(opened, tables, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page.render(tables[0].drop(columns="reason"), tables[1]), encoding="utf-8")
    driver = opened(path=path)
    click(driver, find(driver, "#table tr.absent button")[0])
    assert "This run gave no result" in text_of(driver, "run")
    assert "Reason" not in text_of(driver, "run")
    assert any("of 3 runs" in point["text"] for point in drawn_means(driver, 0))


# ---- mouse, finger and keyboard ----


def place(driver, point):
    """Where a point of the first plot is in the window, after scrolling to it."""
    script = """
    const plot = document.querySelector(".plot");
    plot.scrollIntoView({ block: "center" });
    const { xaxis, yaxis } = plot._fullLayout;
    const box = plot.getBoundingClientRect();
    return [box.left + xaxis._offset + xaxis.d2p(arguments[0]),
            box.top + yaxis._offset + yaxis.d2p(arguments[1])];
    """
    return [round(value) for value in driver.execute_script(script, point["x"], point["y"])]


def test_hover_and_click_with_a_mouse(opened, tables):
    driver = opened()
    point = drawn_means(driver, 0)[0]
    at = place(driver, point)
    mouse = ActionChains(driver)
    mouse.w3c_actions.pointer_action.move_to_location(*at)
    mouse.perform()
    (label,) = wait(driver, lambda: find(driver, ".hoverlayer .hovertext"))
    lines = [line.text for line in label.find_elements("css selector", "tspan.line")]
    assert lines == html.unescape(point["text"]).split("<br>")
    ActionChains(driver).click().perform()
    wait(driver, lambda: find(driver, "#run dl"))
    shown = text_of(driver, "run")
    assert point["text"].split("<br>")[0].split(", ")[1] in shown and "Seed0" in shown


def test_a_finger_chooses_and_scrolls(opened):
    touch = "Emulation.setTouchEmulationEnabled"
    driver = opened(400)
    driver.execute_cdp_cmd(touch, {"enabled": True, "maxTouchPoints": 1})
    try:
        driver = opened(400)
        assert driver.execute_script("return matchMedia('(pointer: coarse)').matches")
        # Were the touch taken over by the plot, the page could not be scrolled from there.
        driver.execute_script(
            "document.addEventListener('touchstart', (event) =>"
            "setTimeout(() => (window.taken = event.defaultPrevented)), { passive: true })"
        )
        point = drawn_means(driver, 0)[0]
        x, y = place(driver, point)
        tap = {"x": x, "y": y, "gestureSourceType": "touch"}
        driver.execute_cdp_cmd("Input.synthesizeTapGesture", tap)
        wait(driver, lambda: text_of(driver, "announcement").startswith("Chosen: "))
        assert driver.execute_script("return window.taken") is False
    finally:
        driver.execute_cdp_cmd(touch, {"enabled": False})


def test_dragging_zooms_and_the_table_follows(opened, tables):
    driver = opened()
    everything = text_of(driver, "summary")
    plot = driver.execute_script(
        "const plot = document.querySelector('.plot .nsewdrag');"
        "plot.scrollIntoView({ block: 'center' }); return plot"
    )
    wide, high = plot.rect["width"], plot.rect["height"]
    drag = ActionChains(driver)
    drag.move_to_element_with_offset(plot, int(-0.2 * wide), int(-0.45 * high))
    drag.click_and_hold().move_by_offset(int(0.5 * wide), int(0.3 * high)).release().perform()
    wait(driver, lambda: "In view of the plots" in text_of(driver, "summary"))
    ranges = driver.execute_script(
        "const { xaxis, yaxis } = document.querySelector('.plot').layout;"
        "return [xaxis.range, yaxis.range]"
    )
    runs = tables[0]
    size, accuracy = np.log10(runs["size_bytes"] / 1000), runs["accuracy"] * 100
    inside = (
        size.between(*ranges[0]) & accuracy.between(*ranges[1])
        | (runs["status"] != "ok")
        | (runs["dataset"] != runs["dataset"].iloc[0])
    )
    assert 0 < inside.sum() < len(runs)
    assert f"In view of the plots: {inside.sum()}." in text_of(driver, "summary")
    assert len(download(driver)) == inside.sum()
    (reset,) = [b for b in find(driver, ".zoom button") if b.text == "Show all" and b.is_enabled()]
    click(driver, reset)
    assert text_of(driver, "summary") == everything


def test_a_plot_by_keyboard(opened, tables):
    driver = opened()
    focus(driver, 0)
    means = sorted(drawn_means(driver, 0), key=lambda point: (point["x"], point["y"]))

    def said():
        return text_of(driver, "announcement")

    def expected(point):
        return point["text"].replace("<br>", ". ")

    press(driver, Keys.ARROW_RIGHT)
    assert said() == expected(means[0])
    press(driver, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert said() == expected(means[2])
    assert len(wait(driver, lambda: find(driver, ".hoverlayer .hovertext"))) == 1
    press(driver, Keys.ARROW_LEFT)
    assert said() == expected(means[1])
    press(driver, Keys.ARROW_DOWN)
    assert means[1]["method"] not in said() and any(said() == expected(m) for m in means)

    before = text_of(driver, "summary")
    press(driver, "+")
    assert "In view of the plots" in text_of(driver, "summary")
    press(driver, "0")
    assert text_of(driver, "summary") == before

    press(driver, Keys.ENTER)
    wait(driver, lambda: driver.switch_to.active_element.get_attribute("id") == "run-heading")
    assert said().startswith("Chosen: ")


def test_everything_is_reached_by_tab_and_has_a_name(opened):
    driver = opened()
    click(driver, find(driver, "#table tbody tr:not(.absent) button")[0])
    driver.execute_script("document.getElementById('y').focus()")
    reached = {"y"}
    for _ in range(60):
        press(driver, Keys.TAB)
        active = driver.switch_to.active_element
        reached.add(active.get_attribute("id") or active.get_attribute("class"))
    assert {"x", "y", "subset", "signed", "singles", "explainer", "download"} <= reached
    assert any("plot" in name for name in reached)
    # As Chromium's accessibility tree has it.
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "checkbox", "combobox", "application", "image", "table", "region"}
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if node.get("role", {}).get("value") in roles and not node.get("ignored")
    ]
    assert {"button", "checkbox", "combobox", "application", "image"} <= {role for role, _ in named}
    assert [role for role, name in named if not name.strip()] == []


# ---- attributions ----


def test_maps_of_the_chosen_run_beside_full_precision(opened, tables, gallery):
    driver = opened()
    runs, _ = tables
    wanted = runs[(runs["dataset"] == gallery.dataset) & (runs["status"] == "ok")]
    wanted = wanted[wanted["seed"] == 0].iloc[2]
    row = next(
        row
        for row in find(driver, "#table tbody tr")
        if row.get_attribute("data-run") == str(wanted.name)
    )
    click(driver, row.find_element("css selector", "button"))
    choose(driver, "explainer", "grad_cam")
    script = """
    const [selector, cells] = arguments;
    const canvas = document.querySelector(selector);
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return cells.map(([y, x]) => {
      const row = Math.floor((y + 0.5) * canvas.height / 6);
      const column = Math.floor((x + 0.5) * canvas.width / 8);
      return [0, 1, 2].map((channel) => pixels[4 * (row * canvas.width + column) + channel]);
    });
    """
    sources = {
        "Full precision": gallery.reference["grad_cam"],
        "This run": gallery.runs[wanted["method"], wanted["point"]]["grad_cam"],
    }
    for sample in range(2):
        for caption, values in sources.items():
            coded = maps.quantised(values)[sample]
            selector = f'canvas[aria-label^="{caption}, sample {sample + 1}"]'
            cells = [(0, 0), (2, 5), (5, 7)]
            for (y, x), found in zip(
                cells, driver.execute_script(script, selector, cells), strict=True
            ):
                expected = np.array(colormaps["RdBu_r"](0.5 + coded[y, x] / 254)[:3]) * 255
                assert np.abs(np.array(found) - expected).max() <= 1
    assert "for seed 0 only" not in text_of(driver, "run")


def test_another_seed_is_shown_the_maps_of_the_first(opened, tables, gallery):
    driver = opened()
    runs, _ = tables
    other = runs[(runs["dataset"] == gallery.dataset) & (runs["seed"] == 1)]
    number = other.index[other["status"] == "ok"][1]
    row = next(r for r in find(driver, "#table tr[data-run]")
               if r.get_attribute("data-run") == str(number))  # fmt: skip
    click(driver, row.find_element("css selector", "button"))
    assert "Maps are kept for seed 0 only" in text_of(driver, "run")
    assert len(find(driver, "#run canvas[role=img]")) == 6


def test_numbers_of_a_failed_run(opened):
    driver = opened()
    click(driver, find(driver, "#table tr.absent button")[0])
    assert "This run gave no result" in text_of(driver, "run")
    assert not find(driver, "#run canvas")


def test_why_a_run_failed(opened, tables):
    driver = opened()
    runs, _ = tables
    (number,) = runs.index[runs["status"] == "failed"]
    click(driver, find(driver, f"#table tr[data-run='{number}'] button")[0])
    facts = dict(
        pair.get_attribute("innerText").split("\n") for pair in find(driver, "#run dl > div")
    )
    assert facts["Status"] == "failed" and facts["Reason"] == REASON
    assert not find(driver, "#run dl b")
    # the point of the run's other seeds says so too, in short
    said = [point["text"] for point in drawn_means(driver, 0) if "1 failed: " in point["text"]]
    (lines,) = (text.split("<br>") for text in said)
    assert ", 3 bits" in lines[0] and "runs" in lines[1]
    assert lines[2] == "1 failed: " + html.escape(REASON[:80], quote=False) + "…"
    click(driver, find(driver, "#table tbody tr:not(.absent) button")[0])
    assert "Reason" not in text_of(driver, "run")


# ---- looks ----


def luminance(hexadecimal):
    """Relative luminance, WCAG 2.2."""
    channels = [int(hexadecimal[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_contrasts(opened, dark):
    driver = opened(dark=dark)
    paper, raised = color(driver, "--paper"), color(driver, "--raised")
    assert (luminance(paper) < 0.05) == dark
    for name in ("--ink", "--quiet", "--accent", "--warning"):
        assert contrast(color(driver, name), paper) >= 4.5
        assert contrast(color(driver, name), raised) >= 4.5
    assert contrast(color(driver, "--warning"), color(driver, "--warning-paper")) >= 4.5
    assert contrast(color(driver, "--edge"), paper) >= 3
    if dark:
        script = """
        return document.querySelector('.plot').data.filter((trace) => trace.line)
          .map((trace) => trace.line.color)
        """
        for shown in driver.execute_script(script):
            assert contrast(shown, paper) >= 3


def test_colors_follow_the_scheme_while_open(opened):
    driver = opened()
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    background = "return document.querySelector('.plot').layout.paper_bgcolor"
    wait(driver, lambda: driver.execute_script(background) == color(driver, "--paper"))
    assert luminance(driver.execute_script(background)) < 0.05


# ---- what is taken away, and sent around ----


def test_the_address_says_what_is_shown(opened, tables, file):
    driver = opened()
    assert driver.execute_script("return location.hash") == ""
    runs, attributions = tables
    explainer, metric = attributions[["explainer", "metric"]].iloc[0]
    choose(driver, "y", json.dumps([explainer, metric], separators=(",", ":")))
    choose(driver, "signed", "false")
    click(driver, driver.find_element("id", "intervals"))
    click(driver, box(driver, "method", "ECQ"))
    for label in ("0", "1", "2"):
        click(driver, box(driver, "seed", label))
    click(driver, box(driver, "seed", "1"))
    click(driver, find(driver, "#table tbody tr td button")[0])
    chosen, said = driver.execute_script(
        "return [document.querySelector('[aria-current]').dataset.run, location.hash]"
    )
    rows, summary = listed(driver), text_of(driver, "summary")
    again = opened(path=Address(file, said))
    assert driver.execute_script("return location.hash") == said
    assert (listed(again), text_of(again, "summary")) == (rows, summary)
    assert runs.loc[rows, "seed"].eq(1).all() and "ecq" not in set(runs.loc[rows, "method"])
    current = "return document.querySelector('[aria-current]').dataset.run"
    assert driver.execute_script(current) == chosen
    assert not driver.find_element("id", "intervals").is_selected()
    assert driver.find_element("id", "signed").get_attribute("value") == "false"
    # an address that says nothing shows what the page begins with
    driver.execute_script("location.hash = ''")
    wait(driver, lambda: text_of(driver, "summary").startswith(f"{len(runs)} of {len(runs)}"))


class Address:
    """The page at an address of its own."""

    def __init__(self, path, said):
        self.said = path.as_uri() + said

    def as_uri(self):
        return self.said


def test_an_address_of_other_results_is_taken_as_far_as_it_goes(opened, tables, file):
    said = "#y=nothing&x=sparsity&method=mine&method=ecq&run=a/b/c/d/0&%E0%A4%A"
    driver = opened(path=Address(file, said))
    assert driver.find_element("id", "y").get_attribute("value") == "accuracy"
    assert driver.find_element("id", "x").get_attribute("value") == "sparsity"
    assert set(tables[0].loc[listed(driver), "method"]) == {"ecq"}


def test_plots_as_files(opened, tables):
    driver = opened()
    for old in driver.folder.iterdir():
        old.unlink()
    (buttons,) = [panel.find_elements("css selector", ".zoom button")
                  for panel in find(driver, ".panel")[:1]]  # fmt: skip
    for button in buttons:
        if button.text in ("SVG", "PNG", "CSV"):
            click(driver, button)
    first = tables[0].iloc[0]
    name = f"ecqx-{first['dataset']}-{first['model']}-accuracy-vs-size_bytes"
    paths = [driver.folder / f"{name}.{suffix}" for suffix in ("svg", "png", "csv")]
    wait(driver, lambda: all(path.exists() and path.stat().st_size for path in paths))
    picture = ElementTree.fromstring(paths[0].read_text(encoding="utf-8"))
    words = "".join(picture.itertext())
    assert picture.tag.endswith("svg") and "Accuracy [%]" in words and "Uniform PTQ" in words
    with Image.open(paths[1]) as image:
        assert image.size == (1800, 1200) and len(np.unique(np.asarray(image))) > 50
    points = pd.read_csv(paths[2])
    expected = of_task(statistics.aggregate_points(tables[0]), tables[0], 0)
    expected = expected.dropna(subset=["accuracy_mean"])
    both = points.merge(expected, on=["method", "point"], suffixes=("", "_expected"))
    assert len(both) == len(points) == len(expected)
    for column in ("accuracy_mean", "accuracy_half_width", "size_bytes_mean"):
        np.testing.assert_allclose(both[column], both[f"{column}_expected"], rtol=1e-9)


def test_the_lower_plot_is_the_last_points_below_full_precision(opened, tables):
    driver = opened()
    script = "return [...document.querySelectorAll('.near')].map((p) => p.layout.yaxis.range)"
    ranges = driver.execute_script(script)
    for number, (low, high) in enumerate(ranges):
        own = of_task(tables[0], tables[0], number)
        full = own.groupby("seed")["accuracy_fp32"].first().mean() * 100
        assert low == pytest.approx(full - 5.2) and full < high <= 100.2
    choose(driver, "y", "sparsity")
    assert not any(plot.is_displayed() for plot in find(driver, ".near"))
    assert len(ranges) == 3


def test_labels_of_lines_do_not_lie_on_each_other(opened, tables):
    driver = opened()
    explainer = tables[1]["explainer"].iloc[0]
    for metric in tables[1].loc[tables[1]["explainer"] == explainer, "metric"].unique():
        choose(driver, "y", json.dumps([explainer, metric], separators=(",", ":")))
        boxes = driver.execute_script(
            "return [...document.querySelectorAll('.plot')].map((plot) =>"
            " [...plot.querySelectorAll('.annotation-text')].map((text) => {"
            " const { top, bottom } = text.getBoundingClientRect(); return [top, bottom]; }))"
        )
        for places in boxes:
            places.sort()
            for (_, above), (below, _) in zip(places, places[1:], strict=False):
                assert below >= above - 2, metric  # a line is as high as its longest letters


def test_where_results_come_from(opened, tables, tmp_path):
    about = page.About(
        1, 1,
        [{"versions": {"torch": "2.11.0"}, "git": "abc-dirty", "device": "cpu", "runs": 7}],
        {"ecq": "Levels that cost.", "absent": "Is not here."},
        ["seeds: [0]  # <b>bold</b>\n"],
    )  # fmt: skip
    path = tmp_path / "about.html"
    path.write_text(page.render(*tables, about=about), encoding="utf-8")
    text = text_of(opened(path=path), "about")
    for part in ("ECQLevels that cost.", "Benchmark version 1", "7 runs: commit abc-dirty, cpu",
                 "torch 2.11.0", "seeds: [0]  # <b>bold</b>", "To read: ECQx"):  # fmt: skip
        assert part in text, part
    assert "Is not here" not in text


def test_a_method_without_a_run_on_a_task_is_told(opened, tables, tmp_path):
    runs, attributions = tables
    tasks = runs[["dataset", "model"]].drop_duplicates()
    other = (runs["method"] == "ecq") & (runs["dataset"] == tasks["dataset"].iloc[1])
    kept = runs[~other]
    known = attributions.merge(kept[["dataset", "model", "method", "point", "seed"]])
    path = tmp_path / "less.html"
    path.write_text(page.render(kept, known), encoding="utf-8")
    driver = opened(path=path)
    notes = [note.text for note in find(driver, ".panel .warning")]
    assert ["No run of ECQ." in note for note in notes] == [False, True, False]


def test_on_paper_there_is_nothing_to_press(opened, tables):
    methods = tables[0]["method"].nunique()
    driver = opened()
    click(driver, box(driver, "method", "ECQ"))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    pressed = ".zoom button, #download, #controls :is(button, select, input)"
    assert not any(one.is_displayed() for one in find(driver, pressed))
    # the methods that are drawn stay, as a legend
    legend = [line.text for line in find(driver, "#filter-method label") if line.is_displayed()]
    assert "ECQ" not in legend and "ECQx" in legend and len(legend) == methods - 1
    assert all(plot.is_displayed() for plot in find(driver, ".plot"))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
