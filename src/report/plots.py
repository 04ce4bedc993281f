"""Vector plots by matplotlib, whose colors are those of the page, in the light and in the dark."""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .numbers import Calibration

_MOST_POINTS = 500  # of a line; more are averaged
_SIZE = (4.6, 2.5)  # inches of 72 points: as wide as a phone
# What the page's style sheet names, by a color that no plot has otherwise.
_COLORS = {"#010203": "var(--ink)", "#040506": "var(--line)"}
_LINES = 6  # colors of lines, then they repeat
_COLORS.update({f"#0a000{number}": f"var(--series{number})" for number in range(_LINES)})
_INK, _GRID, *_SERIES = _COLORS
_STYLE: Any = {
    "svg.fonttype": "none", "figure.facecolor": "none", "axes.facecolor": "none",
    "text.parse_math": False, "font.size": 9, "text.color": _INK, "axes.labelcolor": _INK,
    "axes.edgecolor": _GRID, "xtick.color": _INK, "ytick.color": _INK, "grid.color": _GRID, "axes.grid": True,
    "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 1.5,
    "grid.linewidth": 0.5, "xtick.major.size": 0, "ytick.major.size": 0, "legend.fontsize": 8,
}  # fmt: skip


class Line(NamedTuple):
    """A curve: values over steps or epochs. `dots`: marks single values too."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False


def lines(curves: Sequence[Line], across: str, up: str, logarithmic: bool = False) -> str:
    """Curves over one another, as SVG. `across`, `up`: what the axes are; no two plots of a page have the same `up`."""

    def draw(axes: Any) -> None:
        for number, curve in enumerate(curves):
            color = _SERIES[number % _LINES]
            x, y = (_thinned(np.asarray(values, np.float64)) for values in (curve.x, curve.y))
            dashes = ("-", "--", ":")[number // _LINES % 3]
            marker = "o" if curve.dots or len(x) == 1 else ""
            axes.plot(x, y, color=color, label=curve.label, linestyle=dashes, marker=marker, markersize=3)
        axes.set_xlabel(across)
        axes.set_ylabel(up)
        if logarithmic:
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter("{x:g}")  # the usual one writes powers as formulas
        if len(curves) > 1:
            axes.legend()

    return _svg(draw, up)


def reliability(found: Calibration) -> str:
    """Accuracy over confidence, and where the two would be equal, as SVG."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=_GRID, linestyle="--")
        width = 0.9 / 15
        axes.bar(found.confidence, found.accuracy, width=width, color=_SERIES[0])
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="accuracy")

    return _svg(draw, "reliability")


def _thinned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(values) <= _MOST_POINTS:
        return values
    ends = np.linspace(0, len(values), _MOST_POINTS + 1).astype(int)
    return np.add.reduceat(values, ends[:-1]) / np.diff(ends)


def _svg(draw: Callable[[Any], None], name: str) -> str:
    """What is drawn on one pair of axes, as an element for the page. `name`: makes its identifiers unlike other plots'."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context({**_STYLE, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a font lacks signs of a name; the reader's browser has others
        figure = Figure(figsize=_SIZE, layout="constrained")
        draw(figure.add_subplot())
        file = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        FigureCanvasSVG(figure).print_svg(file, metadata=nothing)
    return _for_page(file.getvalue())


def _for_page(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "sans-serif", svg)
    svg = svg.replace("<svg ", '<svg aria-hidden="true" ', 1)
    for color, name in _COLORS.items():
        svg = svg.replace(color, name)
    return svg
