"""What the checks of ONNX and MINDIR files share: their tensors are alike."""

import math
import mmap
from collections.abc import Callable
from pathlib import Path

from ..errors import UserError, describe_os_error
from ..protobuf import Parts, integers, text

_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}  # by data_type
_MOST_DIMENSIONS = 8


def check_file(path: Path, check: Callable[[memoryview], None]) -> None:
    """Checks the content of a file. Raises UserError with the ValueError that `check` raises, or where it cannot be read."""
    try:
        with open(path, "rb") as file:
            check(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from None
    except ValueError as error:
        raise UserError(f"{path}: not a usable {path.suffix[1:].upper()} file: {error}; export it again") from None


def once(parts: Parts, *numbers: int) -> None:
    """Raises ValueError where a field stands twice: protobuf would join the two, and neither alone would be what is used."""
    for number in numbers:
        if len(parts.get(number, ())) > 1:
            raise ValueError("a part that stands twice")


def last_text(parts: Parts, number: int) -> str:
    """A text field, or "" without it."""
    return text(parts[number][-1]) if number in parts else ""


def check_values(parts: Parts) -> None:
    """Raises ValueError where a TensorProto's raw data have another size than its dimensions (1) and type (2) need.

    Other ways of giving the values are left to the library: it counts them.
    """
    once(parts, 2, 9)
    dimensions = [size for value in parts.get(1, ()) for size in integers(value)]
    if len(dimensions) > _MOST_DIMENSIONS:
        raise ValueError("a tensor of too many dimensions")
    if 9 not in parts:
        return
    data, kind = parts[9][-1], parts.get(2, [0])[-1]
    if kind not in _BITS or isinstance(data, int):
        raise ValueError(f"a tensor of the unknown type {kind}")
    if any(size < 0 for size in dimensions) or math.prod(dimensions) * _BITS[kind] != 8 * len(data):
        raise ValueError(f"a tensor with {len(data)} bytes, which are not those of its dimensions {dimensions}")
