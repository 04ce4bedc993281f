"""Reads what `torch.save` writes, in its zip form and in the older one, without PyTorch and without running anything.

A file is a pickle of dictionaries, numbers and tensors, and raw bytes. A tensor is a view (offset, shape, strides) of a
storage, a run of numbers that several tensors may share. Formats: torch/serialization.py of PyTorch 2 (`_save`, `_load` for
the zip form, `_legacy_save`, `_legacy_load` for the older one).
"""

import contextlib
import io
import math
import mmap
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from src.errors import UserError
from src.models.pickles import Global, RefusedError, StandIn, read_pickle

_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_MAX_DIMENSIONS = 32  # NumPy's limit
_NUMPY_TYPES = {  # name of the dtype in PyTorch -> how NumPy reads its bytes
    "float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2", "int64": "<i8", "int32": "<i4", "int16": "<i2",
    "int8": "i1", "uint8": "u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8", "bool": "?", "complex64": "<c8",
    "complex128": "<c16",
}  # fmt: skip
_STORAGES = {
    "torch.FloatStorage": "float32", "torch.DoubleStorage": "float64", "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16", "torch.LongStorage": "int64", "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16", "torch.CharStorage": "int8", "torch.ByteStorage": "uint8", "torch.BoolStorage": "bool",
    "torch.ComplexFloatStorage": "complex64", "torch.ComplexDoubleStorage": "complex128",
    "torch.storage.UntypedStorage": "uint8",
}  # fmt: skip
_DTYPES = {f"torch.{name}": name for name in _NUMPY_TYPES}
# What training programs keep beside the weights. It is dropped, not built.
_HARMLESS = (
    "argparse.Namespace", "types.SimpleNamespace", "builtins.set", "builtins.frozenset", "builtins.complex",
    "builtins.slice", "builtins.range", "builtins.bytearray", "copyreg._reconstructor", "datetime.datetime",
    "datetime.timedelta", "datetime.date", "pathlib.Path", "pathlib.PosixPath", "pathlib.PurePosixPath",
    "pathlib.WindowsPath", "pathlib._local.PosixPath", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype",
    "_codecs.encode", "torch.device", "torch.Generator",
)  # fmt: skip
_DICTIONARIES = (
    "collections.defaultdict", "collections.Counter", "builtins.dict", "easydict.EasyDict", "yacs.config.CfgNode",
)  # fmt: skip
_NAMES_ONLY = (
    "builtins.object", "builtins.int", "builtins.float", "builtins.str", "builtins.list", "builtins.tuple", "torch.Tensor",
    "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer",
)  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file; `read` brings its values to memory, those of bfloat16 as float32."""

    shape: tuple
    dtype: str
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class _Storage:
    """`size` numbers from number `start` on of the bytes that `read` gives."""

    dtype: str
    size: int
    read: Callable[[], bytes]
    start: int = 0


def is_torch_file(head: bytes) -> bool:
    """Whether a file that starts like this, 32 bytes or more, was written by `torch.save`."""
    return head.startswith(b"PK\x03\x04") or head[:1] == b"\x80" and _MAGIC_NUMBER.to_bytes(10, "little") in head[:32]


def read_torch(path: Path) -> tuple:
    """Reads a file whose content `is_torch_file`; the values of tensors stay in the file until they are asked for.

    Returns:
        The form of the file ("PyTorch zip", "PyTorch legacy") and what was saved: dictionaries and lists of numbers, texts
        and `StoredTensor`.

    Raises:
        UserError: truncated, damaged, sizes that contradict each other, or more than data in it.
    """
    with _explaining(path), open(path, "rb") as file:
        if file.read(2) == b"PK":
            return "PyTorch zip", _read_zip(path)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
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
    except (zipfile.BadZipFile, OSError, RuntimeError, LookupError, ValueError, TypeError, EOFError, struct.error) as error:
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
    if len(set(archive.namelist())) < len(entries) or sum(entry.file_size for entry in entries) > os.path.getsize(path):
        raise ValueError("entries that overlap")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise UserError(f"{path}: written on a big-endian machine; save it again on a little-endian one")
    sizes = {entry.filename: entry.file_size for entry in entries}
    read = _keeping_last(lambda name: _read_entry(path, archive, name))

    def find(persistent_id: Any) -> _Storage:
        _, dtype, key, _, size = _storage_id(persistent_id, 5)
        name = f"{root}data/{key}"
        if sizes.get(name) != size * np.dtype(_NUMPY_TYPES[dtype]).itemsize:
            raise ValueError(f"storage {key} has {sizes.get(name)} bytes instead of {size} numbers of {dtype}")
        return _Storage(dtype, size, lambda: read(name))

    return read_pickle(io.BytesIO(archive.read(f"{root}data.pkl")), _BUILDERS, find)


def _read_entry(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    with _explaining(path):
        return archive.read(name)  # verifies the entry's checksum


def _read_legacy(path: Path, file: mmap.mmap) -> Any:
    def refuse(_) -> None:
        raise ValueError("a storage in front of the content")

    header = [read_pickle(file, {}, refuse) for _ in range(3)]
    if header[:2] != [_MAGIC_NUMBER, _PROTOCOL_VERSION] or not isinstance(header[2], dict):
        raise ValueError("unknown version")
    if header[2].get("little_endian") is not True:
        raise UserError(f"{path}: written on a big-endian machine; save it again on a little-endian one")
    sizes: dict = {}  # storage key -> (dtype, numbers)
    places: dict = {}  # storage key -> first byte in the file
    read = _keeping_last(lambda key: _read_bytes(path, places[key], *sizes[key]))

    def find(persistent_id: Any) -> _Storage:
        _, dtype, key, _, size, view = _storage_id(persistent_id, 6)
        if sizes.setdefault(key, (dtype, size)) != (dtype, size):
            raise ValueError(f"storage {key} has two sizes")
        storage = _Storage(dtype, size, lambda: read(key))
        if view is None:
            return storage
        _, start, view_size = view
        if not _are_counts(start, view_size) or start + view_size > size:
            raise ValueError(f"a view beyond storage {key}")
        return replace(storage, start=start, size=view_size)

    content = read_pickle(file, _BUILDERS, find)
    keys = read_pickle(file, {}, refuse)
    if not isinstance(keys, list) or set(keys) != set(sizes):
        raise ValueError("the list of storages does not fit the content")
    end = len(file)
    for key in keys:
        dtype, size = sizes[key]
        (actual,) = struct.unpack("<q", file.read(8))
        places[key] = file.tell()
        length = size * np.dtype(_NUMPY_TYPES[dtype]).itemsize
        if actual != size or places[key] + length > end:
            raise ValueError(f"truncated, or storage {key} has another size than its tensors")
        file.seek(length, os.SEEK_CUR)
    return content


def _read_bytes(path: Path, place: int, dtype: str, size: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(place)
        return file.read(size * np.dtype(_NUMPY_TYPES[dtype]).itemsize)


def _keeping_last(read: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """Reads again only what was not read just before: tensors that share a storage mostly follow each other."""
    last: dict = {}

    def keep(name: str) -> bytes:
        if name not in last:
            last.clear()
            last[name] = read(name)
        return last[name]

    return keep


def _storage_id(persistent_id: Any, length: int) -> tuple:
    """The parts of a storage's persistent id, its class replaced by the name of the dtype."""
    if not isinstance(persistent_id, tuple) or len(persistent_id) != length or persistent_id[0] != "storage":
        raise ValueError("a reference to something that is no storage")
    kind, storage, key, *others = persistent_id
    if not isinstance(storage, Global) or storage.name not in _STORAGES or not isinstance(key, str):
        raise ValueError("a storage of unknown type")
    if not _are_counts(others[1]):
        raise ValueError(f"storage {key} has no size")
    return (kind, _STORAGES[storage.name], key, *others)


def _are_counts(*values: Any) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 for value in values)


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_) -> StoredTensor:
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor without storage or shape")
    if not _are_counts(offset, *shape, *strides) or len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError("a tensor whose offset, shape or strides are no counts")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides)) if 0 not in shape else -1
    if last >= storage.size or math.prod(shape) > storage.size:
        raise ValueError(f"a tensor of shape {shape} beyond its storage of {storage.size} numbers")
    return StoredTensor(shape, storage.dtype, lambda: _values(storage, offset, shape, strides))


def _values(storage: _Storage, offset: int, shape: tuple, strides: tuple) -> np.ndarray:
    numbers = np.frombuffer(storage.read(), _NUMPY_TYPES[storage.dtype])[storage.start :][: storage.size]
    steps = tuple(stride * numbers.itemsize for stride in strides)
    values = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False).copy()
    return widen_bfloat16(values) if storage.dtype == "bfloat16" else values


def widen_bfloat16(values: np.ndarray) -> np.ndarray:
    """The bits of bfloat16 numbers as float32: they are the upper half of those of the same float32 number."""
    return (values.astype(np.uint32) << 16).view(np.float32)


def _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad=False, hooks=None, metadata=None) -> StoredTensor:
    if metadata:
        raise ValueError("a conjugated or negated tensor")
    return _rebuild_tensor(storage, offset, shape, strides)


def _rebuild_tensor_v3(storage, offset, shape, strides, requires_grad, hooks, dtype, metadata=None) -> StoredTensor:
    """A tensor of an untyped storage, whose size is in bytes."""
    if not isinstance(dtype, Global) or dtype.name not in _DTYPES or not isinstance(storage, _Storage) or metadata:
        raise ValueError("a tensor of unknown type")
    name = _DTYPES[dtype.name]
    size = storage.size // np.dtype(_NUMPY_TYPES[name]).itemsize
    return _rebuild_tensor(replace(storage, dtype=name, size=size), offset, shape, strides)


def _rebuild_parameter(data: Any, *_) -> Any:
    return data


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, *_) -> Any:
    """A tensor with attributes of its own, which are dropped."""
    builder: Optional[Callable] = _BUILDERS.get(function.name) if isinstance(function, Global) else None
    if builder is None or not isinstance(arguments, tuple):
        raise ValueError("a tensor that is built in an unknown way")
    return builder(*arguments)


def _ordered_dict(pairs: Any = ()) -> dict:
    pairs = list(pairs.items() if isinstance(pairs, dict) else pairs)
    if not all(isinstance(key, (str, int)) for key, _ in pairs):
        raise ValueError("a dictionary's key that is neither text nor number")
    return dict(pairs)


def _stand_in(name: str) -> Callable[..., StandIn]:
    return lambda *_: StandIn(name)


_BUILDERS: dict = {
    **dict.fromkeys((*_STORAGES, *_DTYPES, *_NAMES_ONLY)),
    **{name: _stand_in(name) for name in _HARMLESS},
    **{name: lambda *_: {} for name in _DICTIONARIES},
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
}
