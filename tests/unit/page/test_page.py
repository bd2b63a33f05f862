"""The page's text: what is in it, that it asks for nothing, that nobody's names can break it."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib import colormaps

from ecqx import page
from ecqx.page import looks, maps
from ecqx.page.payload import payload, run_numbers
from ecqx.results import style

RUN = ["dataset", "model", "method", "point", "seed"]
SERIES = ["explainer", "metric", "subset", "signed"]


class Document(HTMLParser):
    """Scripts, styles and attributes of a page, read by Python's own parser."""

    def __init__(self, text):
        super().__init__()
        self.attributes, self.parts, self.inside = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.inside = (tag, dict(attrs))

    def handle_data(self, data):
        if self.inside:
            self.parts.append((*self.inside, data))

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.inside = None

    def scripts(self):
        return [text for tag, about, text in self.parts if tag == "script" and "id" not in about]

    def data(self):
        (text,) = [text for _, about, text in self.parts if about.get("id") == "data"]
        return json.loads(text)


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def small_gallery(runs, n=3, height=4, width=5, masks=True, explainers=("lrp", "grad_cam")):
    rng = np.random.default_rng(0)
    first = runs.iloc[0]
    here = runs[(runs["dataset"] == first["dataset"]) & (runs["seed"] == 0)]

    def attributions():
        return {name: rng.normal(size=(n, height, width)) for name in explainers}

    return page.Gallery(
        first["dataset"],
        first["model"],
        seed=0,
        images=rng.random((n, 1, height, width)),
        classes=[f"class {i}" for i in range(n)],
        reference=attributions(),
        runs={
            key: attributions()
            for key in here[["method", "point"]].itertuples(index=False, name=None)
        },
        masks=rng.random((n, height, width)) > 0.5 if masks else None,
    )


@pytest.fixture(scope="module")
def text(runs, attributions):
    return page.render(runs, attributions, [small_gallery(runs)])


# ---- data ----


def test_runs_come_back_exactly(runs, text):
    data = Document(text).data()
    assert data["count"] == len(runs) and list(data["columns"]) == list(runs.columns)
    for name, column in data["columns"].items():
        if "f64" in column:
            np.testing.assert_array_equal(numbers(column["f64"], "<f8"), runs[name].astype(float))
        else:
            levels = [*column["levels"], None]
            assert [levels[code] for code in column["codes"]] == list(runs[name]), name


def test_attributions_come_back_in_single_precision(runs, attributions, text):
    data = Document(text).data()
    place = {key: i for i, key in enumerate(runs[RUN].itertuples(index=False, name=None))}
    expected = {}
    for row in attributions.to_dict("records"):
        key = tuple(row[name] for name in SERIES)
        if row["method"] not in ("identical", "retrained", "random"):
            expected.setdefault(key, {})[place[tuple(row[name] for name in RUN)]] = row["mean"]
    assert len(data["series"]) == len(expected)
    for part in data["series"]:
        values = numbers(part["f32"], "<f4")
        found = {part["offset"] + i: v for i, v in enumerate(values) if np.isfinite(v)}
        wanted = expected[tuple(part[name] for name in SERIES)]
        assert found.keys() == wanted.keys()
        assert all(found[i] == np.float32(wanted[i]) for i in wanted)


def test_anchors_are_kept_by_task_and_seed(attributions, text):
    data = Document(text).data()
    names = [anchor["name"] for anchor in data["anchors"]]
    rows = attributions[attributions["method"].isin(names)]
    assert sum(len(part["anchors"]) for part in data["series"]) == len(rows)
    part = data["series"][0]
    anchor, task, seed, value = part["anchors"][-1]
    about = data["tasks"][task]
    (found,) = rows[
        (rows["method"] == names[anchor])
        & (rows["dataset"] == about["dataset"])
        & (rows["seed"] == seed)
        & (rows[SERIES] == [part[name] for name in SERIES]).all(axis=1)
    ]["mean"]
    assert value == found


def test_order_and_types_of_attributions_change_nothing(runs, attributions, text):
    shuffled = attributions.sample(frac=1, random_state=0)
    shuffled = shuffled.astype({name: "category" for name in ["method", "point", "metric"]})
    one, other = Document(text).data(), payload(runs, shuffled)

    def by_key(data):
        return {
            tuple(part[name] for name in SERIES): part | {"anchors": sorted(part["anchors"])}
            for part in data["series"]
        }

    assert by_key(json.loads(json.dumps(other))) == by_key(one)


def test_attributions_of_unknown_runs_are_left_out(runs, attributions):
    one = runs[runs["dataset"] == "digits"]
    data = payload(one, attributions)
    found = sum(np.isfinite(numbers(part["f32"], "<f4")).sum() for part in data["series"])
    here = attributions.merge(one[RUN], on=RUN)
    assert found == len(here) > 0
    assert {row[1] for part in data["series"] for row in part["anchors"]} == {0}


def test_older_and_newer_tables(runs, attributions):
    def columns(frame):
        return [axis["column"] for axis in payload(frame, attributions)["axes"]]

    assert columns(runs)[:4] == ["size_bytes", "compression_ratio", "sparsity", "accuracy"]
    assert "flips" not in columns(runs)
    newer = runs.assign(flips=0.1, peak_memory_bytes=np.nan)
    assert "flips" in columns(newer) and "peak_memory_bytes" not in columns(newer)


def test_a_page_without_any_attribution(runs, attributions):
    data = Document(page.render(runs, attributions.iloc[:0])).data()
    assert data["series"] == data["explainers"] == data["maps"] == []


def test_direction_of_metrics(runs, attributions):
    distances = attributions[attributions["metric"] == "ssim"].assign(metric="normalised_l2")
    found = payload(runs, pd.concat([attributions, distances]))["metrics"]
    assert [entry["name"] for entry in found if entry["better"] < 0] == ["normalised_l2"]
    assert {entry["better"] for entry in found} == {-1, 1}


@pytest.mark.parametrize("most", [1, 2, 7])
def test_interval_factors_are_those_of_student(runs, most):
    frame = pd.concat([runs[runs["seed"] == 0].assign(seed=seed) for seed in range(most)])
    none = pd.DataFrame(columns=[*RUN, *SERIES, "mean"])
    factors = payload(frame, none)["t"]
    assert factors[:2] == [None, None] and len(factors) == max(3, most + 1)
    expected = scipy.stats.t.ppf(0.975, np.arange(1, len(factors) - 1))
    np.testing.assert_allclose(factors[2:], expected)


def test_bad_tables_are_refused(runs, attributions):
    with pytest.raises(ValueError, match="runs: missing column.*sparsity"):
        page.render(runs.drop(columns="sparsity"), attributions)
    with pytest.raises(ValueError, match="attributions: missing column.*signed"):
        page.render(runs, attributions.drop(columns="signed"))
    with pytest.raises(ValueError, match="runs: occurs twice: digits/residual_cnn/"):
        page.render(pd.concat([runs, runs.iloc[:1]]), attributions)
    network = attributions[attributions["method"] == "ecqx"].iloc[:1]
    with pytest.raises(ValueError, match="attributions: occurs twice: .*/ecqx/.*/pearson/all/True"):
        page.render(runs, pd.concat([attributions, network]))


# ---- document ----


def test_only_the_scripts_it_was_written_with_may_run(text):
    document = Document(text)
    (policy,) = [
        about["content"]
        for tag, about in document.attributes
        if about.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "data: blob:"  # neither leaves the page
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in document.scripts()
    ]
    assert rules["script-src"].split() == hashes and len(hashes) > 1


def test_it_refers_to_no_other_file(text):
    document = Document(text)
    for tag, about in document.attributes:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert about.get(name, "data:").startswith("data:"), (tag, about)
    styles = "".join(part for tag, _, part in document.parts if tag == "style")
    assert styles and not re.search(r"url\(|@import", styles)


def test_names_cannot_break_out(runs, attributions):
    evil = "</script><script>alert(1)</script><!--"
    renamed = runs.assign(point=evil + runs["point"])
    document = Document(page.render(renamed, attributions))
    assert len(document.scripts()) == len(Document(page.render(runs, attributions)).scripts())
    column = document.data()["columns"]["point"]
    assert column["levels"][0].startswith(evil)


def test_the_same_results_give_the_same_text(runs, attributions, text):
    assert page.render(runs, attributions, [small_gallery(runs)]) == text


def test_library_is_small_and_its_license_is_in_the_page(text):
    files = resources.files("ecqx.page")
    library = files.joinpath("vendor/plotly-basic.min.js").read_text(encoding="utf-8")
    assert len(library) < 2_000_000
    assert hashlib.sha256(library.encode()).hexdigest() == (
        "99784e3abfb07b142a15e521a439e6d9addceadb3f79553fd24c72774f0649ba"
    )
    version = re.search(r"\(basic - minified\) v([\d.]+)", library)[1]
    assert f"version {version}, MIT" in page.__doc__
    assert "Permission is hereby granted, free of charge" in text


def test_no_torch():
    code = "import sys, ecqx.page; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- looks ----


def test_every_look_of_the_figures_has_a_counterpart():
    names = [*style._KNOWN, *(f"m{i:02}" for i in range(40))]
    found = looks.of_methods(names, {"nncodec": False, "ecq": True})
    styles = style.method_styles(names)
    assert [look["name"] for look in found] == list(styles)
    symbols = {styles[look["name"]].marker: look["symbol"] for look in found}
    assert len(set(symbols.values())) == len(symbols)
    for look in found:
        assert (look["label"], look["color"]) == styles[look["name"]][:2]
        coordinates = [float(value) for value in re.findall(r"-?[\d.]+(?:e-?\d+)?", look["glyph"])]
        assert 0.3 < max(map(abs, coordinates)) < 0.8
        assert (look["dash"] == "solid") == (look["name"] != "nncodec")


def test_dashes_count_in_pixels():
    assert looks._dash("m", (0, (4, 1))) == f"{4 * looks.LINE_WIDTH:g}px,{looks.LINE_WIDTH:g}px"
    assert looks._dash("m", "-") == "solid"
    with pytest.raises(ValueError, match="m: line style 'wavy', expected one of"):
        looks._dash("m", "wavy")
    with pytest.raises(ValueError, match="m: marker '1', expected one of o s"):
        looks._symbol("m", "1")


# ---- maps ----


@given(
    arrays.arrays(
        np.float32,
        arrays.array_shapes(min_dims=3, max_dims=3, max_side=4),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
        | st.sampled_from([np.nan, np.inf]),
    )
)
def test_quantised_maps_are_close(values):
    found = maps.quantised(values)
    assert found.dtype == np.int8
    for one, coded in zip(values.astype(float), found.astype(float), strict=True):
        finite = np.isfinite(one)
        assert (coded[~finite] == maps.UNDEFINED).all()
        peak = np.abs(one[finite]).max(initial=0)
        if peak > 0:
            assert np.abs(coded[finite]).max() == maps.PEAK
            error = np.abs(coded[finite] / maps.PEAK - one[finite] / peak)
            assert error.max() <= 0.5 / maps.PEAK + 1e-9
        else:
            assert (coded[finite] == 0).all()


def test_maps_of_a_page_are_those_of_the_gallery(runs, text):
    gallery = small_gallery(runs)
    (found,) = Document(text).data()["maps"]
    place = run_numbers(runs)
    assert found["samples"] == found["samples_available"] == 3
    assert set(map(int, found["runs"])) == {
        place[gallery.dataset, gallery.model, *key, 0] for key in gallery.runs
    }
    for (method, point), own in gallery.runs.items():
        coded = found["runs"][str(place[gallery.dataset, gallery.model, method, point, 0])]
        for name, values in own.items():
            expected = maps.quantised(values)
            np.testing.assert_array_equal(numbers(coded[name], np.int8), expected.ravel())
    masks = numbers(found["masks"], np.uint8)
    np.testing.assert_array_equal(masks.reshape(gallery.masks.shape), gallery.masks)
    shown = numbers(found["images"], np.uint8).reshape(3, 4, 5)
    image = gallery.images[1, 0]
    stretched = (image - image.min()) / (image.max() - image.min()) * 255
    np.testing.assert_array_equal(shown[1], np.rint(stretched))


def test_color_images_keep_their_channels_last(runs):
    gallery = small_gallery(runs, masks=False)
    images = np.zeros((3, 3, 4, 5))
    images[:, 1] = 1.0
    colored = page.Gallery(**vars(gallery) | {"images": images})
    (found,) = maps.embedded([colored], run_numbers(runs))
    pixels = numbers(found["images"], np.uint8).reshape(3, 4, 5, 3)
    assert found["channels"] == 3 and found["masks"] is None
    assert (pixels == [0, 255, 0]).all()


def size_of(found):
    return sum(
        len(coded) for part in found for own in part["runs"].values() for coded in own.values()
    )


@pytest.mark.parametrize("budget", [0, 500, 1500, 2500, 4000, 10**6])
def test_maps_fill_the_budget_and_no_more(runs, budget):
    gallery = small_gallery(runs)
    samples, explainers = maps.fitting([gallery], budget)
    found = maps.embedded([gallery], run_numbers(runs), budget)
    assert bool(found) == bool(samples) and size_of(found) <= budget
    if not found:
        assert size_of(maps.embedded([small_gallery(runs, 1, explainers=["lrp"])],
                                     run_numbers(runs))) > budget  # fmt: skip
        return
    assert found[0]["samples"] == samples and len(found[0]["reference"]) == explainers
    whole = [3, 2]
    assert explainers == whole[1] or samples == 1  # samples are given up first
    if [samples, explainers] != whole:
        more = (samples + 1, explainers) if explainers == whole[1] else (samples, explainers + 1)
        larger = small_gallery(runs, more[0], explainers=("lrp", "grad_cam")[: more[1]])
        assert size_of(maps.embedded([larger], run_numbers(runs))) > budget


def test_maps_of_unknown_runs_are_left_out(runs):
    gallery = small_gallery(runs)
    other = page.Gallery(**vars(gallery) | {"seed": 77})
    assert maps.embedded([other], run_numbers(runs))[0]["runs"] == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 4, 5))}, r"images: shape \(3, 4, 5\), expected \(n, C, H, W\)"),
        ({"classes": ["a"]}, "classes: 1 for 3 images"),
        ({"masks": np.zeros((3, 4, 4), bool)}, r"masks: shape \(3, 4, 4\), expected \(3, 4, 5\)"),
        ({"reference": {"lrp": np.zeros((2, 4, 5))}}, r"reference lrp: shape \(2, 4, 5\)"),
        ({"runs": {("ecq", "a"): {"lrp": np.zeros((3, 4))}}}, r"ecq a lrp: shape \(3, 4\)"),
    ],
)
def test_galleries_of_other_shapes_are_refused(runs, change, message):
    with pytest.raises(ValueError, match=message):
        page.Gallery(**vars(small_gallery(runs)) | change)


def test_colors_of_maps_are_those_of_the_figures(runs, attributions):
    found = numbers(payload(runs, attributions)["colormap"], np.uint8).reshape(-1, 3)
    assert found.shape == (255, 3)
    for value in (-127, -40, 0, 127):
        expected = np.array(colormaps["RdBu_r"](0.5 + value / 254)[:3]) * 255
        assert np.abs(found[value + 127] - expected).max() <= 1
