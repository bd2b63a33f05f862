"""One look for all figures: sizes, fonts, and a colour and marker per method.

The colours of the known methods were chosen together: any two differ by 17 or more (CIELAB), as
seen with normal vision and with each of the three dichromacies [machado2009dichromacy]. Those of
the first eight differ by 20, and in lightness by 7 or more (L*), so that they stay apart in grey;
nineteen cannot. Methods that match attributions while they train are darker relatives of those they
are built on. Markers tell methods apart once more, and shrink from each method to those that are
drawn over it: what coincides stays visible. Line style and filling say whether a method trains.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from matplotlib.path import Path

from ecqx.evaluation.explainers import EXPLAINERS
from ecqx.results import gains, metrics

WIDTHS = {"page": 6.9, "column": 3.35}  # inches: both columns of a two-column page, or one
FONT_SIZE = 7.5  # points
SMALL_FONT_SIZE = 6.5  # points: ticks, legends
NOTE_FONT_SIZE = 6.0  # points: numbers and words inside the panels
DOTS_PER_INCH = 200  # of a PNG, and of raster parts of a PDF

RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same glyphs everywhere
    "text.parse_math": False,  # names of classes and runs may hold dollars
    "font.size": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.titlepad": 4.0,
    "axes.labelsize": FONT_SIZE,
    "axes.labelpad": 2.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "hatch.linewidth": 0.5,
    "xtick.labelsize": SMALL_FONT_SIZE,
    "ytick.labelsize": SMALL_FONT_SIZE,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "legend.fontsize": SMALL_FONT_SIZE,
    "legend.frameon": False,
    "lines.linewidth": 0.9,
    "lines.markersize": 4.0,
    "pdf.fonttype": 42,  # TrueType: text stays text, which publishers ask for (Type 3 is refused)
    "ps.fonttype": 42,
}


# Markers that matplotlib has no letter for, of its markers' size: about one unit around the origin.
BOWTIE = Path([(-0.5, -0.45), (-0.5, 0.45), (0.5, -0.45), (0.5, 0.45), (-0.5, -0.45)], closed=True)
HOURGLASS = Path(
    [(-0.45, 0.5), (0.45, 0.5), (-0.45, -0.5), (0.45, -0.5), (-0.45, 0.5)], closed=True
)
WIDE_DIAMOND = Path([(-0.6, 0), (0, 0.35), (0.6, 0), (0, -0.35), (-0.6, 0)], closed=True)
Marker = str | tuple[int, int, int] | Path


class MethodStyle(NamedTuple):
    """How one method is drawn and what it is called.

    Attributes
    ----------
    label, color : str
    marker : Marker, as matplotlib takes it.
    size : float, of its markers, points.
    trained : bool or None, whether its runs were trained; None where that is unknown, which looks
        like training.
    """

    label: str
    color: str
    marker: Marker
    size: float
    trained: bool | None = None

    @property
    def face(self) -> str:
        """Filling of the marker; without training there is none, and what is beneath shows."""
        return "none" if self.trained is False else self.color

    @property
    def linestyle(self) -> str | tuple:
        return (0, (3, 1.2)) if self.trained is False else "-"

    @property
    def linewidth(self) -> float:
        """Points; with the markers, so that a line that is drawn over another leaves its edges."""
        return 0.28 * self.size


_KNOWN = {
    "uniform_ptq": MethodStyle("Uniform PTQ", "#98c4fd", "v", 4.2),
    "uniform": MethodStyle("Uniform QAT", "#0b70e5", "s", 5.4),
    "ecq": MethodStyle("ECQ", "#29ad5b", "^", 5.6),
    "ecqx": MethodStyle("ECQx", "#c1180c", "o", 3.6),
    "wcam": MethodStyle("WCAM", "#a974a4", "D", 3.2),
    "ecq_wcam": MethodStyle("ECQ+WCAM", "#0b5b4e", "<", 4.2),
    "ecqx_wcam": MethodStyle("ECQx+WCAM", "#5e0001", "X", 4.0),
    "nncodec": MethodStyle("NNCodec", "#e89f27", "P", 4.2),
    "optq": MethodStyle("OPTQ", "#9898f8", "p", 5.0),
    "cerwu": MethodStyle("CERWU", "#8808f8", "*", 5.6),
    "obs_relevance": MethodStyle("CERWUx", "#481868", (6, 1, 0), 4.4),
    "allocate": MethodStyle("Allocation", "#0808b8", "8", 4.2),
    "lsq": MethodStyle("LSQ", "#8868b8", "h", 4.8),
    "lsq_rate": MethodStyle("LSQ + rate", "#8808a8", ">", 4.0),
    "prune": MethodStyle("Pruning", "#688878", "d", 4.8),
    "prune_random": MethodStyle("Random pruning", "#c8b8c8", (4, 1, 0), 5.6),
    "prune_structured": MethodStyle("Structured pruning", "#484868", BOWTIE, 5.2),
    "prune_unstructured": MethodStyle("Pruning in rounds", "#e8b898", HOURGLASS, 5.0),
    "distil": MethodStyle("Distillation", "#f85848", (3, 1, 0), 5.2),
}
# For methods that this file does not know.
_SPARE_COLORS = ("#000000", "#8a8a8a", "#7a7a00", "#5a3fc0", "#ff8fa3", "#00b3b3", "#6b4423")
_SPARE_MARKERS = ("H", (4, 1, 45), WIDE_DIAMOND, (3, 1, 180))
_SPARE_SIZES = (5.0, 4.4, 3.8)
# Names of data sets and models, and parts of such names, that are not words.
_SPELLINGS = {
    "cifar10": "CIFAR-10", "cnn": "CNN", "ds_cnn": "DS-CNN", "gsc": "GSC", "imagenet": "ImageNet",
    "mlp": "MLP", "pascal": "Pascal", "resnet8": "ResNet8", "resnet18": "ResNet18",
    "resnet20": "ResNet20", "vgg": "VGG", "vgg16": "VGG16", "voc": "VOC",
}  # fmt: skip


_OWN: dict[str, Mapping[str, str]] = {}


def register(looks: Mapping[str, Mapping[str, str]]) -> None:
    """Let methods that this file does not know be called and colored as their files say.

    Parameters
    ----------
    looks : mapping of str to mapping, method -> ``label`` and ``color`` (``#rrggbb``); either may
        be absent. The methods that this file knows keep theirs.
    """
    _OWN.update({name: look for name, look in looks.items() if name not in _KNOWN})


def context():
    """Context in which figures are built and rendered with this style."""
    return matplotlib.rc_context(RC)


def words(name: str) -> str:
    """A name without its underscores: of a parameter, or of what nothing declares a label for."""
    return name.replace("_", " ")


def label(name: str) -> str:
    """Readable name of an explainer or a metric; unknown ones lose their underscores only."""
    declared = EXPLAINERS.get(name) or metrics.measured().get(name)
    return declared.label if declared else gains.MEASURES.get(name) or words(name)


def dataset_label(dataset: str) -> str:
    """Readable name of a data set."""
    return _spelled(dataset)


def task_label(dataset: str, model: str) -> str:
    """Readable name of a task: its data set and its model."""
    return f"{_spelled(dataset)} / {_spelled(model)}"


def _spelled(name: str) -> str:
    parts = [name] if name in _SPELLINGS else name.split("_")
    return " ".join(_SPELLINGS.get(part, part) for part in parts)


def method_order(methods: Iterable[str]) -> list[str]:
    """Distinct methods in the order of legends and tables: known ones first, others sorted."""
    return _ordered(methods, _KNOWN)


def explainer_order(explainers: Iterable[str]) -> list[str]:
    """Distinct explainers in the order of panels: known ones first, others sorted."""
    return _ordered(explainers, EXPLAINERS)


def metric_order(names: Iterable[str]) -> list[str]:
    """Distinct metrics, consistency before localisation: known ones first, others sorted."""
    return _ordered(names, metrics.measured())


def _ordered(names: Iterable[str], known: Iterable[str]) -> list[str]:
    names = set(names)
    return [name for name in known if name in names] + sorted(names.difference(known))


def method_styles(
    methods: Iterable[str], trained: Mapping[str, bool] = MappingProxyType({})
) -> dict[str, MethodStyle]:
    """Style of each method, in the order of :func:`method_order`.

    A known method always looks the same. Others take spare colours and markers in sorted order, so
    that the same set of methods gives the same picture, whatever the order of the runs. Variants of
    a known method (:mod:`ecqx.results.variants`) bear its label.

    Parameters
    ----------
    methods : iterable of str
    trained : mapping of str to bool, whether a method's runs were trained, where that is known.
    """
    styles, spare = {}, 0
    for name in method_order(methods):
        if name in _KNOWN:
            styles[name] = _KNOWN[name]
        else:
            method, comma, rest = name.partition(", ")
            own = _OWN.get(method, {})
            known = _KNOWN[method].label if method in _KNOWN else own.get("label", words(method))
            color = _SPARE_COLORS[spare % len(_SPARE_COLORS)]
            styles[name] = MethodStyle(
                known + comma + words(rest),
                color if comma else own.get("color", color),  # variants are told apart by it
                _SPARE_MARKERS[spare % len(_SPARE_MARKERS)],
                _SPARE_SIZES[spare % len(_SPARE_SIZES)],
            )
            spare += 1
        styles[name] = styles[name]._replace(trained=trained.get(name))
    return styles


def render(figure: Figure, format: str, dpi: int = DOTS_PER_INCH) -> bytes:
    """The figure as the bytes of a ``pdf`` or ``png`` file; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
    format : {"pdf", "png"}
    dpi : int, resolution of a PNG, and of raster parts of a PDF, in dots per inch.
    """
    if format not in ("pdf", "png"):
        raise ValueError(f"format: {format!r} is neither 'pdf' nor 'png'")
    buffer = io.BytesIO()
    with context():
        figure.dpi = dpi
        # Figure.savefig would draw everything once more before it writes.
        if format == "pdf":
            # The creation date would make every file differ from the last one.
            FigureCanvasPdf(figure).print_pdf(buffer, metadata={"CreationDate": None})
        else:
            FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()
