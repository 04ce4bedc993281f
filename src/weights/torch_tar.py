"""The form of PyTorch before 0.2: a tar archive of `storages`, `tensors` and `pickle`.

`storages`: their count; for each a pickle of (key, device, class), how many numbers, and the numbers; at the end a pickle of
those that are parts of others, (key, key of the other, first number, how many). `tensors`: their count; for each a pickle of
(key, key of the storage, class), then dimensions, sizes, strides and offset. `pickle`: the content, where a key stands for a
tensor. Format: `legacy_load` within `_legacy_load` of torch/serialization.py, PyTorch 2.
"""

import os
import struct
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from .pickles import no_reference, read_pickle
from .torch_tensors import (
    BUILDERS,
    MAX_DIMENSIONS,
    STORAGES,
    Storage,
    are_counts,
    item_size,
    keeping_last,
    read_at,
    rebuild_tensor,
    storage_dtype,
)

_PARTS = ("storages", "tensors", "pickle")
# torch.FloatStorage -> torch.FloatTensor and torch.cuda.FloatTensor, which only name what the storage tells already
_TENSORS = [
    name.replace("torch.", module).replace("Storage", "Tensor") for name in STORAGES for module in ("torch.", "torch.cuda.")
]


def is_tar(path: Path) -> bool:
    """Whether it is an uncompressed tar archive with the three parts."""
    try:
        with tarfile.open(path, "r:") as archive:
            return set(_PARTS) <= set(archive.getnames())
    except (tarfile.TarError, OSError):
        return False


def read_tar(path: Path) -> Any:
    """What was saved: dictionaries and lists of numbers, texts and `StoredTensor`. Nothing is unpacked to the disk.

    Raises:
        ValueError, tarfile.TarError, struct.error, EOFError: truncated, damaged or sizes that contradict each other.
        RefusedError: more than data in it.
    """
    with tarfile.open(path, "r:") as archive:
        members = [archive.getmember(name) for name in _PARTS]
        if any(not member.isreg() or member.issparse() for member in members):
            raise ValueError("a part that is no plain file")
        storages_file, tensors_file, content = (archive.extractfile(member) for member in members)
        storages = _read_storages(path, storages_file, members[0])
        tensors = _read_tensors(tensors_file, storages)

        def find(persistent_id: Any) -> Any:
            key = int(persistent_id) if isinstance(persistent_id, (str, int)) else None
            if key in tensors:
                return tensors[key]
            if key in storages:
                return storages[key]
            raise ValueError("a reference to something that is no tensor")

        return read_pickle(content, BUILDERS, find)


def _read_storages(path: Path, file: BinaryIO, member: tarfile.TarInfo) -> dict:
    """Key -> storage."""
    storages = {}
    read = keeping_last(lambda place: read_at(path, *place))
    for _ in range(_read_count(file)):
        key, _, kind = _read_parts(file, dict.fromkeys(STORAGES))
        dtype = storage_dtype(kind)
        (size,) = struct.unpack("<q", file.read(8))
        length = size * item_size(dtype)
        if not are_counts(key, size) or file.tell() + length > member.size:
            raise ValueError(f"truncated, or storage {key} is no storage")
        place = (member.offset_data + file.tell(), length)
        storages[key] = Storage(dtype, size, lambda place=place: read(place))
        file.seek(length, os.SEEK_CUR)
    views = read_pickle(file, {}, no_reference)
    for view in views if isinstance(views, list) else [views]:
        if not isinstance(view, tuple) or len(view) != 4 or not are_counts(*view) or view[1] not in storages:
            raise ValueError("a view of a storage that makes no sense")
        key, root, start, size = view
        if start + size > storages[root].size:
            raise ValueError(f"a view beyond storage {root}")
        storages[key] = replace(storages[root], start=storages[root].start + start, size=size)
    return storages


def _read_tensors(file: BinaryIO, storages: dict) -> dict:
    """Key -> tensor."""
    tensors = {}
    for _ in range(_read_count(file)):
        key, storage, _ = _read_parts(file, dict.fromkeys(_TENSORS))
        (dimensions,) = struct.unpack("<i4x", file.read(8))
        if not are_counts(key, dimensions) or dimensions > MAX_DIMENSIONS or storage not in storages:
            raise ValueError(f"tensor {key} makes no sense")
        *places, offset = struct.unpack(f"<{2 * dimensions + 1}q", file.read(16 * dimensions + 8))
        shape, strides = tuple(places[:dimensions]), tuple(places[dimensions:])
        tensors[key] = rebuild_tensor(storages[storage], offset, shape, strides)
    return tensors


def _read_count(file: BinaryIO) -> int:
    count = read_pickle(file, {}, no_reference)
    if not are_counts(count):
        raise ValueError("no number of parts")
    return count


def _read_parts(file: BinaryIO, names: dict) -> tuple:
    parts = read_pickle(file, names, no_reference)
    if not isinstance(parts, tuple) or len(parts) != 3:
        raise ValueError("a part without a description")
    return parts
