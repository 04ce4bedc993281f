"""What the folder of a run holds for its page. Nothing in it is trusted; what is missing is left out."""

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..config import KEYS, build_config
from ..config.recipes import read_recipe
from ..config.types import as_written
from ..described import checked, parse_json
from ..errors import UserError, printable
from ..files import read_bounded
from ..log import log
from ..model_info import ModelInfo, Origin, describe, meta_path
from . import answers as answer_file
from .answers import Answers
from .label_errors import Finding, read_findings

_MOST_BYTES = 256 << 20  # of metrics.jsonl
_EXPORTS = (".onnx", ".mindir", ".air", ".om")


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it.

    Attributes:
        name: of the folder.
        settings: every key with its value, or {} where the folder does not tell.
        events: lines of metrics.jsonl; after a resume without what the interrupted run did beyond the checkpoint.
        answers: of the last evaluation.
        exports: file name -> description, of exports in the folder or made from this run's checkpoints.
        findings: duplicates and probable label errors.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: Optional[Answers] = None
    exports: dict[str, ModelInfo] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind."""
        return [event for event in self.events if event.get("event") == kind]

    @property
    def changed(self) -> dict[str, Any]:
        """Settings that differ from the defaults."""
        return {key: value for key, value in self.settings.items() if key in KEYS and value != defaults()[key]}


def read_run(folder: Path) -> Run:
    """Reads a run folder, or that of an evaluation.

    Raises:
        UserError: there is no such folder, it is neither, or a file in it cannot be used.
    """
    if not folder.is_dir():
        raise UserError(f"report: no such folder '{folder}'")
    events, answers = _read_events(folder / "metrics.jsonl"), answer_file.load(folder / answer_file.NAME)
    if not events and answers is None:
        raise UserError(f"report: '{folder}' holds neither metrics.jsonl nor {answer_file.NAME}; name the folder of a run")
    settings = _read_settings(folder / "resolved.yaml")
    if not settings and answers and isinstance(answers.result.get("config"), dict):
        settings = _as_texts(answers.result["config"])
    name = printable(folder.resolve().name or str(folder))
    return Run(name, settings, events, answers, _read_exports(folder, events), read_findings(folder))


@functools.lru_cache(maxsize=1)
def defaults() -> dict[str, Any]:
    """Every key with its default, as recipes write them."""
    return _as_texts(build_config().resolved())


def _read_settings(path: Path) -> dict[str, Any]:
    return _as_texts(read_recipe(path)) if path.is_file() else {}


def _as_texts(settings: dict[Any, Any]) -> dict[str, Any]:
    """Settings as recipes write them, whether they come from one or from a result."""
    return {str(key): as_written(value) for key, value in settings.items()}


def _read_events(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    events: list[dict[str, Any]] = []
    for line in read_bounded(path, _MOST_BYTES, "report").splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue  # an interrupted run was killed within a line
        if not isinstance(event, dict):
            continue
        if event.get("event") == "resume" and isinstance(event.get("step"), int):
            events = [
                before for before in events if not isinstance(before.get("step"), int) or before["step"] <= event["step"]
            ]
        events.append(event)
    return events


def _read_exports(folder: Path, events: list[dict[str, Any]]) -> dict[str, ModelInfo]:
    """Exports in the folder, and those beside it that come from one of its checkpoints."""
    found = {}
    places = (folder.resolve(), folder.resolve().parent)
    for file in sorted(file for place in places for ending in _EXPORTS for file in place.glob(f"[!.]*{ending}")):
        try:
            origin = _claimed_origin(file)
            if origin and (file.parent == places[0] or _is_origin(folder, events, origin)):
                found[file.name] = describe(file)  # which reads all of the file, for its checksum
        except UserError as error:
            log.warning("report: left out: %s", error)
    return found


def _claimed_origin(export: Path) -> Optional[Origin]:
    """What an export's description says that it was made from."""
    path = meta_path(export)
    if not path.is_file():
        return None
    return checked(ModelInfo, parse_json(read_bounded(path, _MOST_BYTES, "report"), path), path).checkpoint


def _is_origin(folder: Path, events: list[dict[str, Any]], origin: Origin) -> bool:
    """Whether an export's checkpoint is one of this run: by its name, and by what was counted while training."""
    counted = origin.evaluation
    if counted is None or not (folder / Path(origin.file).name).is_file():
        return False
    return any(
        event.get("step") == counted.step and counted.top1 in (event.get("top1"), event.get("ema_top1")) for event in events
    )
