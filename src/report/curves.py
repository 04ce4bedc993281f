"""Curves of a run, or of several over each other: what they show, and in words where they lead."""

from collections.abc import Sequence
from typing import NamedTuple, Optional

from .plots import Line, lines
from .run_files import Run


class Plot(NamedTuple):
    """A plot as SVG, and what it shows in words."""

    caption: str
    svg: str


class _Curve(NamedTuple):
    """What an axis shows: the event and its values, by the name that each has in the legend."""

    title: str
    event: str
    values: dict[str, str]
    logarithmic: bool = False


_CURVES = (
    _Curve("training loss", "train", {"loss": ""}),
    _Curve("learning rate", "train", {"lr": ""}),
    _Curve(
        "validation accuracy",
        "eval",
        {"top1": "top-1", "top5": "top-5", "ema_top1": "top-1, averaged weights", "ema_top5": "top-5, averaged weights"},
    ),  # fmt: skip
    _Curve("images per second", "train", {"img_per_s": ""}),
    _Curve("fraction of time waiting for data", "train", {"waiting": ""}),
    _Curve("loss scale", "train", {"loss_scale": ""}, logarithmic=True),
    _Curve("steps skipped by overflows", "train", {"skipped_steps": ""}),
)
_ONLY_IF_IT_CHANGES = ("loss scale", "steps skipped by overflows")


def draw_curves(runs: Sequence[Run]) -> list[Plot]:
    """A plot of everything that the runs' events tell."""
    plots = []
    for curve in _CURVES:
        found = [line for run in runs for line in _lines_of(run, curve, many=len(runs) > 1)]
        if curve.title in _ONLY_IF_IT_CHANGES and len({value for line in found for value in line.y}) < 2:
            continue
        if found:
            ends = "; ".join(
                f"{line.label + ': ' if line.label else ''}from {line.y[0]:.4g} to {line.y[-1]:.4g}" for line in found
            )
            plots.append(Plot(f"{curve.title}: {ends}", lines(found, "step", curve.title, curve.logarithmic)))
    return plots


def _lines_of(run: Run, curve: _Curve, many: bool) -> list[Line]:
    found = []
    for value, name in curve.values.items():
        points = [(_number(event.get("step")), _number(event.get(value))) for event in run.of(curve.event)]
        usable = [(x, y) for x, y in points if x is not None and y is not None and (y > 0 or not curve.logarithmic)]
        if usable:
            label = ", ".join(filter(None, (run.name * many, name)))
            found.append(Line(label, [x for x, _ in usable], [y for _, y in usable], dots=curve.event == "eval"))
    return found


def _number(value: object) -> Optional[float]:
    """A number that can be drawn, or None."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < 1e30 else None  # NaN is not less
