"""Writes the page of a run, or of several side by side: one file that loads nothing and runs nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..config import KEYS
from ..errors import UserError, printable
from ..files import write_text
from ..version import __version__
from . import sections
from .curves import draw_curves
from .run_files import Run, defaults

NAME = "report.html"
_TEMPLATE = Path(__file__).with_name("page.html.jinja")


def write_page(runs: Sequence[Run], path: Path) -> None:
    """Writes the page, atomically.

    Raises:
        UserError: a package is missing, or the file cannot be written.
    """
    write_text(path, render(runs))


def render(runs: Sequence[Run]) -> str:
    """The page as HTML. Names in it are text, whatever they hold. Raises UserError where a package is missing."""
    try:
        import jinja2
        import matplotlib  # noqa: F401 - asked for before anything is computed
    except ModuleNotFoundError as error:
        raise UserError(f"report: needs the package {error.name}; pip install jinja2 matplotlib, or --report 0") from None
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined, finalize=_finalize
    )  # fmt: skip
    environment.globals["percent"] = sections.percent
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(_content(runs))


def _finalize(value: Any) -> Any:
    """What would steer a terminal or turn the reading direction becomes visible, as in the log."""
    return printable(value) if type(value) is str else value


def _content(runs: Sequence[Run]) -> dict[str, Any]:
    """What the template takes."""
    many, run = len(runs) > 1, runs[0]
    content: dict[str, Any] = {
        "title": " and ".join(run.name for run in runs) if many else run.name,
        "subtitle": sections.subtitle(runs),
        "many": many,
        "runs": [run.name for run in runs],
        "settings": _settings(runs),
        "results": sections.results(runs) if many else None,
        "curves": draw_curves(runs),
        "note": "", "facts": [], "cards": [], "classes": [], "matrix": None, "pairs": [], "calibration": None,
        "galleries": [], "exports": [], "findings": None,
        "footer": f"Written by MindSpore ResNet Zoo {__version__}. This file loads nothing from elsewhere.",
    }  # fmt: skip
    if not many:
        content.update(
            note=sections.note(run), facts=sections.facts(run), cards=sections.cards(run),
            exports=sections.exports(run), findings=sections.findings(run),
        )  # fmt: skip
        if run.answers:
            content.update(sections.of_answers(run.answers))
    content["sections"] = _anchors(content)
    return content


def _anchors(content: dict[str, Any]) -> list[tuple[str, str]]:
    """Where the sections that there are begin."""
    named = [
        ("what-ran", "What ran", True),
        ("results", "Results", content["results"]),
        ("curves", "Curves", content["curves"]),
    ]
    named += [("classes", "Accuracy by class", content["classes"])]
    named += [("confusion", "Confusion", content["matrix"] or content["pairs"])]
    named += [("calibration", "Calibration", content["calibration"])]
    named += [(gallery["anchor"], gallery["title"], True) for gallery in content["galleries"]]
    named += [
        ("exports", "Exports", content["exports"]),
        ("label-errors", "Duplicates and label errors", content["findings"]),
    ]
    return [(anchor, name) for anchor, name, there in named if there]


def _settings(runs: Sequence[Run]) -> list[tuple[str, list[Any], Any]]:
    """(key, value of every run, default) of every key that some run has changed."""
    changed = {key for run in runs for key in run.changed}
    return [
        (key, [_shown(run.settings.get(key, defaults()[key])) for run in runs], _shown(defaults()[key]))
        for key in KEYS if key in changed
    ]  # fmt: skip


def _shown(value: Any) -> str:
    return "0" if value is False else "1" if value is True else str(value)
