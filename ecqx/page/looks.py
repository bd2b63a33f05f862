"""The look of each method in a page: that of the figures, as the plotting library names it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from matplotlib.markers import MarkerStyle
from matplotlib.path import Path

from ecqx.results import style

# Matplotlib's markers -> plotly's symbols.
_SYMBOLS = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "d": "diamond-tall",
    "P": "cross",
    "X": "x",
    "v": "triangle-down",
    "^": "triangle-up",
    "<": "triangle-left",
    ">": "triangle-right",
    "p": "pentagon",
    "h": "hexagon",
    "H": "hexagon2",
    "8": "octagon",
    "*": "star",
    (3, 1, 0): "star-triangle-up",
    (3, 1, 180): "star-triangle-down",
    (4, 1, 0): "star-diamond",
    (4, 1, 45): "star-square",
    (6, 1, 0): "hexagram",
    style.BOWTIE: "bowtie",
    style.HOURGLASS: "hourglass",
    style.WIDE_DIAMOND: "diamond-wide",
}
_DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}
LINE_WIDTH = 1.5  # pixels; matplotlib counts dashes in line widths, plotly in pixels
_LETTERS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}


def of_methods(methods: Iterable[str], trained: Mapping[str, bool]) -> list[dict]:
    """Name, label, color, plotly symbol, plotly dash and SVG glyph of each method, in order.

    Parameters
    ----------
    methods : iterable of str
    trained : mapping of str to bool, whether a method was trained, where that is known.

    Raises
    ------
    ValueError : a marker or a line style has no counterpart here.
    """
    return [
        {
            "name": name,
            "label": look.label,
            "color": look.color,
            "symbol": _symbol(name, look.marker),
            "dash": _dash(name, look.linestyle),
            "glyph": _glyph(look.marker),
        }
        for name, look in style.method_styles(methods, trained).items()
    ]


def _symbol(method: str, marker: style.Marker) -> str:
    if marker not in _SYMBOLS:
        known = " ".join(map(str, _SYMBOLS))
        raise ValueError(f"{method}: marker {marker!r}, expected one of {known}")
    return _SYMBOLS[marker]


def _dash(method: str, linestyle: str | tuple) -> str:
    if isinstance(linestyle, tuple):
        return ",".join(f"{length * LINE_WIDTH:g}px" for length in linestyle[1])
    if linestyle not in _DASHES:
        raise ValueError(f"{method}: line style {linestyle!r}, expected one of {list(_DASHES)}")
    return _DASHES[linestyle]


def _glyph(marker: style.Marker) -> str:
    """Matplotlib's marker as the path of an SVG, about one unit wide around the origin."""
    shape = MarkerStyle(marker)
    path = shape.get_path().transformed(shape.get_transform())
    parts = []
    for vertices, code in path.iter_segments(simplify=False):
        if code == Path.CLOSEPOLY:
            parts.append("Z")
        else:
            flipped = vertices.reshape(-1, 2) * (1, -1)  # an SVG's y points down
            parts.append(_LETTERS[code] + " ".join(f"{value:.3g}" for value in flipped.ravel()))
    return "".join(parts)
