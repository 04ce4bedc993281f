"""Walks protobuf messages without believing them: what is given is checked to lie within the message, and nothing is copied.

The wire format: a field is a varint, number * 8 + type, and then its value: a varint (type 0), 8 bytes (1), a length as
varint and as many bytes (2), or 4 bytes (5). Source: protobuf.dev, "Encoding".
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Union

Value = Union[int, memoryview]
Parts = dict[int, list[Value]]  # the fields of a message by number
MOST_FIELDS = 1 << 20  # what is walked here has some thousand tensors or operators
_DEEPEST = 32  # messages within each other
_FIXED = {1: 8, 5: 4}  # bytes


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Yields number and value of every field: integers for varints, the bytes themselves for all others.

    Raises:
        ValueError: truncated, a type of field that is out of use, or more than `MOST_FIELDS` fields.
    """
    place, end = 0, len(message)
    for _ in range(MOST_FIELDS):
        if place == end:
            return
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if not number:
            raise ValueError("a field without a number")
        if kind == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == 2:
            length, place = _varint(message, place)
        else:
            length = _FIXED.get(kind, -1)
        if not 0 <= length <= end - place:
            raise ValueError("a field that reaches beyond its message, or of an unknown type")
        yield number, message[place : place + length]
        place += length
    raise ValueError(f"a message of more than {MOST_FIELDS} fields")


def walk(message: memoryview, kind: str, inner: Mapping[tuple[str, int], str], visit: Callable[[str, Parts], None]) -> None:
    """Calls `visit` with kind and fields of a message, and then of all messages within it.

    Args:
        inner: (kind of a message, number of a field) -> kind of the message there; all other fields are not looked into.

    Raises:
        ValueError: as `fields`, a field of another type than the kind says, messages nested too deeply, more than
            `MOST_FIELDS` fields in all, or whatever `visit` raises.
    """
    left = MOST_FIELDS

    def step(content: memoryview, of_kind: str, depth: int) -> None:
        nonlocal left
        parts: Parts = {}
        for number, value in fields(content):
            left -= 1
            parts.setdefault(number, []).append(value)
        if depth > _DEEPEST or left < 0:
            raise ValueError("nested too deeply, or more parts than a network has")
        visit(of_kind, parts)
        for number, values in parts.items():
            if (of_kind, number) in inner:
                for value in values:
                    step(block(value), inner[of_kind, number], depth + 1)

    step(message, kind, 0)


def integers(value: Value) -> list[int]:
    """A repeated integer field, one of its numbers or all of them packed, as signed 64-bit numbers."""
    if isinstance(value, int):
        return [_signed(value)]
    numbers, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        numbers.append(_signed(number))
    return numbers


def text(value: Value) -> str:
    """A text field. Raises ValueError where it is none, or not UTF-8."""
    return str(block(value), "utf-8")


def block(value: Value) -> memoryview:
    """The bytes of a field of that kind. Raises ValueError where it holds a number."""
    if isinstance(value, int):
        raise ValueError("a number where text, bytes or a message belongs")
    return value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, 7 in a byte, the lowest first; and the place behind it."""
    number = 0
    for index, byte in enumerate(message[place : place + 10]):
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return number & (2**64 - 1), place + index + 1
    raise ValueError("truncated")


def _signed(number: int) -> int:
    return struct.unpack("<q", struct.pack("<Q", number))[0]
