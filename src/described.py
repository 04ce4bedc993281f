"""What all descriptions of files have in common: strict types, and one line where a value makes no sense."""

import json
import reprlib
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, Strict, ValidationError

from .errors import UserError

LARGEST_SIDE = 1 << 14  # of an image, pixels
MOST_CLASSES = 1 << 24
LARGEST_DESCRIPTION = 64 << 20  # bytes
_LARGEST_FLOAT32, _SMALLEST_FLOAT32 = 3.4028234e38, 1.5e-45


def _any_text(value: Any) -> str:
    """Also what file systems hold besides UTF-8, which Python shows as surrogates and pydantic refuses."""
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value


AnyText = Annotated[str, PlainValidator(_any_text)]
Text = Annotated[str, Strict(), Field(max_length=4096)]
Flag = Annotated[bool, Strict()]
Count = Annotated[int, Strict(), Field(ge=0, lt=2**63)]
Side = Annotated[int, Strict(), Field(ge=1, le=LARGEST_SIDE)]
Classes = Annotated[int, Strict(), Field(ge=1, le=MOST_CLASSES)]
Real = Annotated[float, Strict(), Field(ge=-_LARGEST_FLOAT32, le=_LARGEST_FLOAT32)]
Positive = Annotated[Real, Field(ge=_SMALLEST_FLOAT32)]
Fraction = Annotated[Real, Field(ge=0, le=1)]


class Described(BaseModel):
    """A part of a description. Values must have the very type that is written here: no number as text, no list as one."""

    model_config = ConfigDict(frozen=True)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: what was given, without what is only the default."""
        return self.model_dump(exclude_unset=True)


SomeDescribed = TypeVar("SomeDescribed", bound=Described)


def checked(kind: type[SomeDescribed], values: dict[str, Any], path: Path) -> SomeDescribed:
    """A description of a kind. Raises UserError naming the first value that makes no sense, and the file."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{path}: cannot be used: {first_problem(error)}; use another copy, or write it again") from None


def parse_json(content: Union[str, bytes], path: Path) -> dict[str, Any]:
    """The JSON object of a description. Raises UserError where it is none, too large or nested too deeply."""
    try:
        if len(content) > LARGEST_DESCRIPTION:
            raise ValueError(f"a description of more than {LARGEST_DESCRIPTION >> 20} MB")
        text = content if isinstance(content, str) else content.decode("utf-8")
        values = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else error
        raise UserError(f"{path}: cannot be read as JSON: {reason}; use another copy, or write it again") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: cannot be used: expected an object, got a {type(values).__name__}; write it again")
    return values


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def first_problem(error: ValidationError) -> str:
    """The first problem as `key: what is wrong, got the value`."""
    first = error.errors(include_url=False)[0]
    message = first["msg"].replace("Value error, ", "")
    if first["type"] == "value_error" and ": " in message:
        return message  # of a check of several values, which names them
    return f"{'.'.join(map(str, first['loc']))}: {message[0].lower()}{message[1:]}, got {reprlib.repr(first['input'])}"
