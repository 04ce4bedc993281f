"""Reads what `torch.save` writes, without PyTorch and without running anything.

A file is a pickle of dictionaries, numbers and tensors, and raw bytes. There are three forms, read by these functions of
torch/serialization.py, PyTorch 2: zip (`_load`), the older legacy (`_legacy_load`), and tar (see `torch_tar`).
"""

import contextlib
import io
import mmap
import os
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UserError
from .pickles import RefusedError, no_reference, read_pickle
from .torch_tar import is_tar, read_tar
from .torch_tensors import (
    BUILDERS,
    Storage,
    are_counts,
    item_size,
    keeping_last,
    read_at,
    storage_dtype,
)

_ZIP = b"PK\x03\x04"
_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_DAMAGE = (
    zipfile.BadZipFile, OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, ArithmeticError, MemoryError,
    NotImplementedError, struct.error,
)  # fmt: skip


def is_torch_file(path: Path) -> bool:
    """Whether the content starts as `torch.save` starts it."""
    with open(path, "rb") as file:
        head = file.read(32)
    is_legacy = head[:1] == b"\x80" and _MAGIC_NUMBER.to_bytes(10, "little") in head
    return head.startswith(_ZIP) or is_legacy or is_tar(path)


def read_torch(path: Path) -> tuple[str, Any]:
    """Reads a file whose content `is_torch_file`; the values of tensors stay in the file until they are asked for.

    Returns:
        The form of the file ("PyTorch zip", "PyTorch legacy", "PyTorch tar") and what was saved: dictionaries and lists of
        numbers, texts and `StoredTensor`.

    Raises:
        UserError: truncated, damaged, sizes that contradict each other, or more than data in it.
    """
    with _explaining(path), open(path, "rb") as file:
        head = file.read(4)
        if head == _ZIP:
            return "PyTorch zip", _read_zip(path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if head[:1] != b"\x80":
                return "PyTorch tar", read_tar(path, content)
            return "PyTorch legacy", _read_legacy(path, content)


@contextlib.contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except RefusedError as error:
        raise UserError(
            f"{path}: refused: it asks for {error.name}, which is no data; nothing was run. "
            "Where you trust it: load it in PyTorch and save the weights alone, torch.save(model.state_dict(), FILE)"
        ) from None
    except _DAMAGE as error:
        reason = str(error) if str(error).isprintable() else ascii(str(error))
        raise UserError(f"{path}: cannot be read as PyTorch's: {reason}; use another copy of the file") from None


def _read_zip(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise ValueError("a truncated zip archive")
    archive = zipfile.ZipFile(path)
    entries = archive.infolist()
    roots = [entry.filename[: -len("data.pkl")] for entry in entries if entry.filename.endswith("/data.pkl")]
    if len(roots) != 1:
        raise UserError(f"{path}: a zip archive, but not of torch.save: it has {len(roots)} entries data.pkl instead of 1")
    root = roots[0]
    if f"{root}constants.pkl" in archive.namelist():
        raise UserError(f"{path}: a TorchScript program; save its weights in PyTorch: torch.save(model.state_dict(), FILE)")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries):
        raise ValueError("compressed or encrypted entries, which torch.save does not write")
    if any(entry.compress_size != entry.file_size for entry in entries):
        raise ValueError("an entry with another size than its content")
    if len(set(archive.namelist())) < len(entries) or sum(entry.file_size for entry in entries) > os.path.getsize(path):
        raise ValueError("entries that overlap")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise UserError(f"{path}: written on a big-endian machine; save it again on a little-endian one")
    sizes = {entry.filename: entry.file_size for entry in entries}
    read = keeping_last(lambda name: _read_entry(path, archive, name))

    def find(persistent_id: Any) -> Storage:
        _, dtype, key, _, size = _storage_id(persistent_id, 5)
        name = f"{root}data/{key}"
        if sizes.get(name) != size * item_size(dtype):
            raise ValueError(f"storage {key} has {sizes.get(name)} bytes instead of {size} numbers of {dtype}")
        return Storage(dtype, size, lambda: read(name))

    return read_pickle(io.BytesIO(archive.read(f"{root}data.pkl")), BUILDERS, find)


def _read_entry(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    with _explaining(path):
        content = archive.read(name)  # verifies the entry's checksum
        if len(content) != archive.getinfo(name).file_size:
            raise ValueError(f"{name} is shorter than it says")
        return content


def _read_legacy(path: Path, file: mmap.mmap) -> Any:
    header = [read_pickle(file, {}, no_reference) for _ in range(3)]
    if header[:2] != [_MAGIC_NUMBER, _PROTOCOL_VERSION] or not isinstance(header[2], dict):
        raise ValueError("unknown version")
    if header[2].get("little_endian") is not True:
        raise UserError(f"{path}: written on a big-endian machine; save it again on a little-endian one")
    sizes: dict[str, tuple[str, int]] = {}  # storage key -> (dtype, numbers)
    places: dict[str, int] = {}  # storage key -> first byte in the file
    read = keeping_last(lambda key: read_at(path, places[key], sizes[key][1] * item_size(sizes[key][0])))

    def find(persistent_id: Any) -> Storage:
        _, dtype, key, _, size, view = _storage_id(persistent_id, 6)
        if sizes.setdefault(key, (dtype, size)) != (dtype, size):
            raise ValueError(f"storage {key} has two sizes")
        storage = Storage(dtype, size, lambda: read(key))
        if view is None:
            return storage
        _, start, view_size = view
        if not are_counts(start, view_size) or start + view_size > size:
            raise ValueError(f"a view beyond storage {key}")
        return replace(storage, start=start, size=view_size)

    content = read_pickle(file, BUILDERS, find)
    keys = read_pickle(file, {}, no_reference)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or set(keys) != set(sizes):
        raise ValueError("the list of storages does not fit the content")
    end = len(file)
    for key in keys:
        dtype, size = sizes[key]
        (actual,) = struct.unpack("<q", file.read(8))
        places[key] = file.tell()
        length = size * item_size(dtype)
        if actual != size or places[key] + length > end:
            raise ValueError(f"truncated, or storage {key} has another size than its tensors")
        file.seek(length, os.SEEK_CUR)
    return content


def _storage_id(persistent_id: Any, length: int) -> tuple[Any, ...]:
    """The parts of a storage's persistent id, its class replaced by the name of the dtype."""
    if not isinstance(persistent_id, tuple) or len(persistent_id) != length or persistent_id[0] != "storage":
        raise ValueError("a reference to something that is no storage")
    kind, storage, key, *others = persistent_id
    if not isinstance(key, str):
        raise ValueError("a storage without a name")
    if not are_counts(others[1]):
        raise ValueError(f"storage {key} has no size")
    return (kind, storage_dtype(storage), key, *others)
