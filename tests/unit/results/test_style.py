import re
import subprocess
import sys

import matplotlib
import pytest
from matplotlib.figure import Figure

from ecqx.results import style

KNOWN = ["uniform_ptq", "uniform", "ecq", "ecqx", "wcam", "nncodec"]


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
    assert len({look.linestyle for look in styles}) == len(styles)


def test_more_methods_than_spare_looks_still_have_one():
    names = [f"m{i:02}" for i in range(40)]
    assert list(style.method_styles(names)) == names


def test_unknown_names_lose_their_underscores():
    assert style.label("grad_cam") == "Grad-CAM"
    assert style.label("my_new_metric") == "my new metric"


def test_style_is_not_left_behind():
    before = dict(matplotlib.rcParams)
    with style.context():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before


def sample():
    with style.context():
        figure = Figure(figsize=(2, 2), layout="constrained")
        figure.subplots().set_xlabel("Size [kB]")
    return figure


def test_pdf_embeds_type_42_fonts():
    pdf = style.render(sample(), "pdf")
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf


def test_rendering_is_reproducible_and_of_the_stated_size():
    assert style.render(sample(), "pdf") == style.render(sample(), "pdf")
    png = style.render(sample(), "png", dpi=150)
    assert png == style.render(sample(), "png", dpi=150)
    assert int.from_bytes(png[16:20], "big") == 300  # IHDR width


def test_other_formats_are_refused():
    with pytest.raises(ValueError, match="'svg' is neither"):
        style.render(sample(), "svg")


def test_results_import_neither_torch_nor_pyplot():
    code = (
        "import sys, ecqx.results.figures, ecqx.results.tables, ecqx.results.statistics;"
        "print([m for m in ('torch', 'zennit', 'scipy.stats', 'matplotlib.pyplot', 'seaborn') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.sub(r"\s", "", done.stdout) == "[]"
