"""The form of PyTorch before 0.2: a tar archive of `storages`, `tensors` and `pickle`.

`storages`: their count; for each a pickle of (key, device, class), how many numbers, and the numbers; at the end a pickle of
those that are parts of others, (key, key of the other, first number, how many). `tensors`: their count; for each a pickle of
(key, key of the storage, class), then dimensions, sizes, strides and offset. `pickle`: the content, where a key stands for a
tensor. Format: `legacy_load` within `_legacy_load` of torch/serialization.py, PyTorch 2.
"""

import mmap
import os
import struct
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Optional, Union

from .pickles import no_reference, read_pickle
from .torch_tensors import (
    BUILDERS,
    MAX_DIMENSIONS,
    STORAGES,
    Storage,
    StoredTensor,
    are_counts,
    item_size,
    keeping_last,
    read_at,
    rebuild_tensor,
    storage_dtype,
)

_PARTS = ("storages", "tensors", "pickle")
_BLOCK = 512  # bytes
_MOST_HEADERS = 100
_PLAIN = (b"0", b"\0")  # kinds of member that are files
# torch.FloatStorage -> torch.FloatTensor and torch.cuda.FloatTensor, which only name what the storage tells already
_TENSORS = [
    name.replace("torch.", module).replace("Storage", "Tensor") for name in STORAGES for module in ("torch.", "torch.cuda.")
]


def is_tar(path: Path) -> bool:
    """Whether it is an uncompressed tar archive with the three parts."""
    with open(path, "rb") as file:
        return set(_PARTS) <= set(_members(file))


def read_tar(path: Path, content: mmap.mmap) -> Any:
    """What was saved: dictionaries and lists of numbers, texts and `StoredTensor`. Nothing is unpacked to the disk.

    Args:
        content: that of the file `path`.

    Raises:
        ValueError, struct.error, EOFError: truncated, damaged or sizes that contradict each other.
        RefusedError: more than data in it.
    """
    members = _members(content)
    if any(member.kind not in _PLAIN for member in (members[name] for name in _PARTS)):
        raise ValueError("a part that is no plain file")
    storages = _read_storages(path, content, members["storages"])
    tensors = _read_tensors(content, members["tensors"], storages)

    def find(persistent_id: Any) -> Any:
        key = int(persistent_id) if isinstance(persistent_id, (str, int)) else None
        if key in tensors:
            return tensors[key]
        if key in storages:
            return storages[key]
        raise ValueError("a reference to something that is no tensor")

    content.seek(members["pickle"].start)
    return read_pickle(content, BUILDERS, find)


class _Member(NamedTuple):
    """A file in the archive: its bytes are from `start` to `end`; `kind` is the archive's letter for what it is."""

    kind: bytes
    start: int
    end: int


def _members(file: Union[BinaryIO, mmap.mmap]) -> dict[str, _Member]:
    """The files of the archive by name; no more than what a tar archive begins with, and empty where it is none.

    Python's own module follows chains of long names and negative sizes without an end; a header here is 512 bytes, of which
    name (100), size (12, octal), checksum and kind count. Source: POSIX 1003.1, "ustar Interchange Format".
    """
    members: dict[str, _Member] = {}
    end = file.seek(0, os.SEEK_END) or file.tell()
    start = 0
    for _ in range(_MOST_HEADERS):
        file.seek(start)
        header = file.read(_BLOCK)
        checksum, size = _octal(header[148:156]), _octal(header[124:136])
        if len(header) < _BLOCK or checksum != sum(header[:148]) + sum(header[156:]) + 8 * ord(" "):
            break
        start += _BLOCK
        if size is None or start + size > end:
            break
        name = header[:100].partition(b"\0")[0].decode("latin-1")
        members[name] = _Member(header[156:157], start, start + size)
        start += -(-size // _BLOCK) * _BLOCK
    return members


def _octal(digits: bytes) -> Optional[int]:
    digits = digits.strip(b" \0")
    return int(digits, 8) if digits.isdigit() and not set(digits) & set(b"89") else None


def _read_storages(path: Path, file: mmap.mmap, member: _Member) -> dict[int, Storage]:
    """Key -> storage."""
    storages = {}
    read = keeping_last(lambda place: read_at(path, *place))
    file.seek(member.start)
    for _ in range(_read_count(file)):
        key, _, kind = _read_parts(file, dict.fromkeys(STORAGES))
        dtype = storage_dtype(kind)
        (size,) = struct.unpack("<q", file.read(8))
        place = (file.tell(), size * item_size(dtype))
        if not are_counts(key, size) or sum(place) > member.end:
            raise ValueError(f"truncated, or storage {key} is no storage")
        storages[key] = Storage(dtype, size, partial(read, place))
        file.seek(sum(place))
    views = read_pickle(file, {}, no_reference)
    for view in views if isinstance(views, list) else [views]:
        if not isinstance(view, tuple) or len(view) != 4 or not are_counts(*view) or view[1] not in storages:
            raise ValueError("a view of a storage that makes no sense")
        key, root, start, size = view
        if start + size > storages[root].size:
            raise ValueError(f"a view beyond storage {root}")
        storages[key] = replace(storages[root], start=storages[root].start + start, size=size)
    return storages


def _read_tensors(file: mmap.mmap, member: _Member, storages: dict[int, Storage]) -> dict[int, StoredTensor]:
    """Key -> tensor."""
    tensors = {}
    file.seek(member.start)
    for _ in range(_read_count(file)):
        key, storage, _ = _read_parts(file, dict.fromkeys(_TENSORS))
        (dimensions,) = struct.unpack("<i4x", file.read(8))
        if not are_counts(key, storage, dimensions) or dimensions > MAX_DIMENSIONS or storage not in storages:
            raise ValueError(f"tensor {key} makes no sense")
        *places, offset = struct.unpack(f"<{2 * dimensions + 1}q", file.read(16 * dimensions + 8))
        shape, strides = tuple(places[:dimensions]), tuple(places[dimensions:])
        tensors[key] = rebuild_tensor(storages[storage], offset, shape, strides)
    return tensors


def _read_count(file: mmap.mmap) -> int:
    count = read_pickle(file, {}, no_reference)
    if not are_counts(count):
        raise ValueError("no number of parts")
    return count


def _read_parts(file: mmap.mmap, names: dict[str, None]) -> tuple[Any, Any, Any]:
    parts = read_pickle(file, names, no_reference)
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise ValueError("a part without a description")
    return parts
