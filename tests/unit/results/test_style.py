import itertools
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ecqx.results import style

ROOT = Path(__file__).parents[3]
ALWAYS_THERE = [
    "uniform_ptq", "uniform", "ecq", "ecqx", "wcam", "ecq_wcam", "ecqx_wcam", "nncodec",
]  # fmt: skip
KNOWN = list(style._KNOWN)
# Linear RGB -> cone responses, of Viénot, Brettel and Mollon 1999: a model for red and green.
TO_CONES = np.array(
    [[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]]
)


def without_cone(cones):
    return np.linalg.solve(TO_CONES, np.array(cones) @ TO_CONES)


# What each kind of vision makes of linear RGB; the others are of Machado et al. 2009, severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protan": without_cone([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
    "deutan": without_cone([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    "protan, Machado": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan, Machado": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "tritan, Machado": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
         [0.004733, 0.691367, 0.303900]]
    ),
}  # fmt: skip


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear sRGB, white point D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    t = to_xyz @ np.clip(rgb, 0, 1) / to_xyz.sum(axis=1)
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def seen(color, vision):
    return lab(VISIONS[vision] @ linear(color))


def test_known_methods_look_the_same_whatever_is_beside_them():
    alone = style.method_styles(["ecqx"])["ecqx"]
    assert style.method_styles([*KNOWN, "mine", "aaa"])["ecqx"] == alone


def test_unknown_methods_do_not_depend_on_the_order_of_the_runs():
    one = style.method_styles(["zeta", "ecq", "alpha"])
    other = style.method_styles(["alpha", "zeta", "ecq", "zeta"])
    assert one == other and list(one) == list(other) == ["ecq", "alpha", "zeta"]
    assert one["zeta"].label == "zeta"


def test_methods_differ_in_color_and_without_color():
    styles = style.method_styles([*KNOWN, "a", "b", "c"]).values()
    assert len({look.color for look in styles}) == len(styles)
    assert len({look.marker for look in styles}) == len(styles)


def test_line_style_and_filling_say_whether_a_method_trains():
    styles = style.method_styles(["ecq", "nncodec", "mine"], {"ecq": True, "nncodec": False})
    assert (styles["ecq"].face, styles["ecq"].linestyle) == (styles["ecq"].color, "-")
    assert styles["nncodec"].face == "none" and styles["nncodec"].linestyle != "-"
    assert (styles["mine"].face, styles["mine"].linestyle) == (styles["mine"].color, "-")
    assert styles["mine"].trained is None


@pytest.mark.parametrize(
    ("below", "above"), [("uniform", "wcam"), ("ecq", "ecqx"), ("ecq_wcam", "ecqx_wcam")]
)
def test_methods_that_coincide_differ_in_size(below, above):
    styles = style.method_styles([below, above])
    assert styles[below].size > styles[above].size
    assert styles[below].linewidth > styles[above].linewidth


@pytest.mark.parametrize("vision", VISIONS)
def test_known_colors_stay_apart_for_every_vision(vision):
    colors = [look.color for look in style.method_styles(KNOWN).values()]
    distances = {
        (one, other): np.linalg.norm(seen(one, vision) - seen(other, vision))
        for one, other in itertools.combinations(colors, 2)
    }
    assert min(distances.values()) > 15, min(distances, key=distances.get)


def test_every_method_of_the_benchmark_has_a_look_of_its_own():
    methods = {path.stem for path in (ROOT / "baselines").glob("[!_]*.py")}
    assert methods <= set(KNOWN)
    assert set(ALWAYS_THERE) <= methods


def test_known_colors_stay_apart_in_grey_and_from_white():
    looks = style.method_styles(KNOWN)
    lightness = {name: lab(linear(look.color))[0] for name, look in looks.items()}
    assert np.diff(sorted(lightness[name] for name in ALWAYS_THERE)).min() > 6
    assert max(lightness.values()) < 80  # white is 100


def test_more_methods_than_spare_looks_still_have_one():
    names = [f"m{i:02}" for i in range(40)]
    assert list(style.method_styles(names)) == names


def test_names():
    assert style.label("grad_cam") == "Grad-CAM"
    assert style.label("my_new_metric") == "my new metric"
    assert style.task_label("cluttered_digits", "small_vgg") == "cluttered digits / small VGG"
    assert style.task_label("cifar10_subset", "resnet20") == "CIFAR-10 subset / ResNet20"
    assert style.task_label("spoken_keywords", "ds_cnn") == "spoken keywords / DS-CNN"
    assert style.dataset_label("my_own_data") == "my own data"
    variant = style.method_styles(["my_method, own_source", "ecqx, own_source"])
    assert [look.label for look in variant.values()] == [
        "ECQx, own source",
        "my method, own source",
    ]
    assert style.explainer_order(["zzz", "rap", "grad_cam"]) == ["grad_cam", "rap", "zzz"]
    assert style.metric_order(["auc", "aaa", "cosine"]) == ["cosine", "auc", "aaa"]


def test_style_is_not_left_behind():
    before = dict(matplotlib.rcParams)
    with style.context():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def sample():
    with style.context():
        figure = Figure(figsize=(2, 2))
        figure.subplots().set_xlabel("Size [kB]")
    return figure


def test_pdf_embeds_type_42_fonts():
    pdf = style.render(sample(), "pdf")
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_rendering_is_reproducible_and_of_the_stated_size():
    assert style.render(sample(), "pdf") == style.render(sample(), "pdf")
    figure = sample()
    png = style.render(figure, "png", dpi=150)
    assert png == style.render(sample(), "png", dpi=150)
    assert int.from_bytes(png[16:20], "big") == 300  # IHDR width
    assert style.render(figure, "pdf") == style.render(sample(), "pdf")  # formats in any order


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match="'svg' is neither"):
        style.render(sample(), "svg")


def test_results_import_neither_torch_nor_pyplot():
    code = (
        "import sys, ecqx.results.figures, ecqx.results.statistics;"
        "print([m for m in ('torch', 'zennit', 'scipy.stats', 'matplotlib.pyplot', 'seaborn') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.sub(r"\s", "", done.stdout) == "[]"


def test_methods_of_ones_own_look_as_their_files_say(monkeypatch):
    monkeypatch.setattr(style, "_OWN", {})
    before = style.method_styles(["alpha", "zeta", "ecq"])
    style.register({"zeta": {"label": "Zeta+", "color": "#123456"}, "ecq": {"label": "Mine"}})
    looks = style.method_styles(["alpha", "zeta", "zeta, fast", "ecq"])
    assert (looks["zeta"].label, looks["zeta"].color) == ("Zeta+", "#123456")
    assert looks["zeta"].marker == before["zeta"].marker
    assert looks["zeta, fast"].label == "Zeta+, fast" and looks["zeta, fast"].color != "#123456"
    assert looks["alpha"] == before["alpha"] and looks["ecq"] == before["ecq"]
