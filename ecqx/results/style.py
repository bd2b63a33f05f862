"""One look for all figures: sizes, fonts, and a colour, marker and line style per method.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), safe for the colour-blind;
since several of them share a lightness, every method has its own marker and line style as well and
is told apart in grey.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

COLUMN_WIDTH = 3.35  # inches, one column of a two-column page
PAGE_WIDTH = 6.9  # inches, both columns
FONT_SIZE = 8.0  # points
SMALL_FONT_SIZE = 7.0  # points: ticks, legends, notes

RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same glyphs everywhere
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.labelsize": SMALL_FONT_SIZE,
    "ytick.labelsize": SMALL_FONT_SIZE,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "legend.fontsize": SMALL_FONT_SIZE,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.0,
    "pdf.fonttype": 42,  # TrueType: text stays text, which publishers ask for (Type 3 is refused)
    "ps.fonttype": 42,
}


class MethodStyle(NamedTuple):
    """How one method is drawn and what it is called."""

    label: str
    color: str
    marker: str
    linestyle: str | tuple


_KNOWN = {
    "uniform_ptq": MethodStyle("Uniform PTQ", "#56B4E9", "v", (0, (1, 1))),
    "uniform": MethodStyle("Uniform QAT", "#0072B2", "s", (0, (5, 1.5))),
    "ecq": MethodStyle("ECQ", "#009E73", "^", (0, (3, 1, 1, 1))),
    "ecqx": MethodStyle("ECQx", "#D55E00", "o", "-"),
    "wcam": MethodStyle("WCAM", "#CC79A7", "D", (0, (3, 1, 1, 1, 1, 1))),
    "nncodec": MethodStyle("NNCodec", "#E69F00", "P", (0, (7, 2, 1.5, 2))),
}
# For methods that this file does not know. The yellow of Okabe and Ito is too light on white; the
# others are taken from Tol's muted scheme, made to the same end.
_SPARE_COLORS = ("#332288", "#882255", "#999933", "#000000", "#7F7F7F", "#44AA99", "#AA4499")
_SPARE_MARKERS = ("X", "<", ">", "h", "p", "d", "*", "8")
_SPARE_LINESTYLES = ((0, (4, 1)), (0, (2, 1)), (0, (6, 1, 1, 1)), (0, (1, 2)), (0, (8, 2)))

_LABELS = {
    "lrp": "LRP",
    "grad_cam": "Grad-CAM",
    "gradient_x_input": "Gradient × input",
    "cosine": "Cosine similarity",
    "spearman": "Spearman correlation",
    "ssim": "SSIM",
    "topk_iou": "Top-10 % overlap (IoU)",
    "auc": "ROC-AUC",
    "pointing_game": "Pointing game",
}


def context():
    """Context in which figures are built and rendered with this style."""
    return matplotlib.rc_context(RC)


def label(name: str) -> str:
    """Readable name of an explainer or a metric; unknown ones lose their underscores only."""
    return _LABELS.get(name, name.replace("_", " "))


def task_label(dataset: str, model: str) -> str:
    """Readable name of a task."""
    return f"{dataset} / {model}"


def method_order(methods: Iterable[str]) -> list[str]:
    """Distinct methods in the order of legends and tables: known ones first, others sorted."""
    methods = set(methods)
    return [name for name in _KNOWN if name in methods] + sorted(methods - _KNOWN.keys())


def method_styles(methods: Iterable[str]) -> dict[str, MethodStyle]:
    """Style of each method, in the order of :func:`method_order`.

    A known method always looks the same. Others take spare colours and markers in sorted order, so
    that the same set of methods gives the same picture, whatever the order of the runs.
    """
    styles, spare = {}, 0
    for name in method_order(methods):
        if name in _KNOWN:
            styles[name] = _KNOWN[name]
            continue
        styles[name] = MethodStyle(
            name,
            _SPARE_COLORS[spare % len(_SPARE_COLORS)],
            _SPARE_MARKERS[spare % len(_SPARE_MARKERS)],
            _SPARE_LINESTYLES[spare % len(_SPARE_LINESTYLES)],
        )
        spare += 1
    return styles


def render(figure: Figure, format: str, dpi: int = 200) -> bytes:
    """The figure as the bytes of a ``pdf`` or ``png`` file; the same figure gives the same bytes.

    The first call fixes the layout of the figure, which every format then shares.

    Parameters
    ----------
    figure : Figure
    format : {"pdf", "png"}
    dpi : int
        Resolution of a PNG, and of raster parts of a PDF, in dots per inch.
    """
    if format not in ("pdf", "png"):
        raise ValueError(f"format: {format!r} is neither 'pdf' nor 'png'")
    # The creation date would make every file differ from the last one.
    metadata = {"CreationDate": None} if format == "pdf" else None
    buffer = io.BytesIO()
    with context():
        if (layout := figure.get_layout_engine()) is not None:
            layout.execute(figure)  # as costly as the drawing: once is enough
            figure.set_layout_engine("none")
        figure.savefig(buffer, format=format, dpi=dpi, metadata=metadata)
    return buffer.getvalue()
