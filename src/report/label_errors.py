"""Duplicates and probable label errors of a data set, as another command found them: `label_errors.json` of a run.

The file is a JSON list of objects, the most certain first:

    {"image": "photos/train/cat/1.jpg", "kind": "duplicate", "other": "photos/train/cat/9.jpg", "score": 0.998}
    {"image": "photos/train/cat/2.jpg", "kind": "label", "label": "cat", "suggested": "dog", "score": 0.97}

`image` and `other` are paths, `label` (which may be left out) and `suggested` classes, `score` a number from 0 to 1 that
says how sure the finding is: the likeness of the two images, or the probability of the suggested class.
"""

import json
from pathlib import Path
from typing import Annotated, Literal, Optional

from pydantic import Field, RootModel, ValidationError

from ..described import AnyText, Described, Real, first_problem
from ..errors import UserError
from ..files import read_bounded

NAME = "label_errors.json"
_MOST_BYTES = 64 << 20


class Finding(Described):
    """An image that is there twice, or whose class is probably another one."""

    image: AnyText
    kind: Literal["duplicate", "label"]
    score: Real
    other: Optional[AnyText] = None
    label: Optional[AnyText] = None
    suggested: Optional[AnyText] = None


class _Findings(RootModel[Annotated[list[Finding], Field(max_length=1_000_000)]]):
    pass


def read_findings(folder: Path) -> list[Finding]:
    """The findings of a run, [] where there is no such file. Raises UserError where it cannot be used."""
    path = folder / NAME
    if not path.is_file():
        return []
    try:
        return _Findings.model_validate(json.loads(read_bounded(path, _MOST_BYTES, "report"))).root
    except ValidationError as error:
        reason = first_problem(error)
    except (ValueError, RecursionError) as error:
        reason = f"{type(error).__name__}, no JSON"
    raise UserError(f"{path}: cannot be used: {reason}; write it again, or remove it")
