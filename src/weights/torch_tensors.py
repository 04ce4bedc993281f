"""Tensors as `torch.save` describes them: views (offset, shape, strides) of storages, runs of numbers that may be shared."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .pickles import Global, StandIn

MAX_DIMENSIONS = 32  # NumPy's limit
_NUMPY_TYPES = {  # name of the dtype in PyTorch -> how NumPy reads its bytes
    "float32": "<f4", "float64": "<f8", "float16": "<f2", "bfloat16": "<u2", "int64": "<i8", "int32": "<i4", "int16": "<i2",
    "int8": "i1", "uint8": "u1", "uint16": "<u2", "uint32": "<u4", "uint64": "<u8", "bool": "?", "complex64": "<c8",
    "complex128": "<c16",
}  # fmt: skip
STORAGES = {
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

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Storage:
    """`size` numbers from number `start` on of the bytes that `read` gives."""

    dtype: str
    size: int
    read: Callable[[], bytes]
    start: int = 0


def item_size(dtype: str) -> int:
    """Bytes of a number."""
    return np.dtype(_NUMPY_TYPES[dtype]).itemsize


def storage_dtype(storage: Any) -> str:
    """torch.FloatStorage -> float32. Raises ValueError for what is no class of storages."""
    if not isinstance(storage, Global) or storage.name not in STORAGES:
        raise ValueError("a storage of unknown type")
    return STORAGES[storage.name]


def read_at(path: Path, place: int, length: int) -> bytes:
    """`length` bytes from byte `place` of a file. Raises UserError where they are not there any more."""
    with open(path, "rb") as file:
        file.seek(place)
        content = file.read(length)
    if len(content) != length:
        raise UserError(f"{path}: was truncated while it was read; use another copy of the file")
    return content


def keeping_last(read: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    """Reads again only what was not read just before: tensors that share a storage mostly follow each other."""
    last: dict[Any, Any] = {}

    def keep(key: Any) -> bytes:
        if key not in last:
            last.clear()
            last[key] = read(key)
        return last[key]

    return keep


def are_counts(*values: Any) -> bool:
    """Whether these are whole numbers from 0 on."""
    return all(isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62 for value in values)


def rebuild_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_) -> StoredTensor:
    """The view of a storage. Raises ValueError where it reaches beyond the storage or is none."""
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(strides, tuple):
        raise ValueError("a tensor without storage or shape")
    if not are_counts(offset, *shape, *strides) or len(shape) != len(strides) or len(shape) > MAX_DIMENSIONS:
        raise ValueError("a tensor whose offset, shape or strides are no counts")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides)) if 0 not in shape else -1
    if last >= storage.size or math.prod(shape) > storage.size:
        raise ValueError(f"a tensor of shape {shape} beyond its storage of {storage.size} numbers")
    return StoredTensor(shape, storage.dtype, lambda: _values(storage, offset, shape, strides))


def _values(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[np.float32]:
    numbers = np.frombuffer(storage.read(), _NUMPY_TYPES[storage.dtype])[storage.start :][: storage.size]
    if len(numbers) != storage.size:  # the strides below reach as far as the storage said
        raise ValueError("a storage with fewer numbers than it says")
    steps = tuple(stride * numbers.itemsize for stride in strides)
    values = np.lib.stride_tricks.as_strided(numbers[offset:], shape, steps, writeable=False).copy()
    return widen_bfloat16(values) if storage.dtype == "bfloat16" else values


def widen_bfloat16(values: NDArray[Any]) -> NDArray[Any]:
    """The bits of bfloat16 numbers as float32: they are the upper half of those of the same float32 number."""
    return (values.astype(np.uint32) << 16).view(np.float32)


def _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad=False, hooks=None, metadata=None) -> StoredTensor:
    if metadata:
        raise ValueError("a conjugated or negated tensor")
    return rebuild_tensor(storage, offset, shape, strides)


def _rebuild_tensor_v3(storage, offset, shape, strides, requires_grad, hooks, dtype, metadata=None) -> StoredTensor:
    """A tensor of an untyped storage, whose size is in bytes."""
    if not isinstance(dtype, Global) or dtype.name not in _DTYPES or not isinstance(storage, Storage) or metadata:
        raise ValueError("a tensor of unknown type")
    name = _DTYPES[dtype.name]
    size = storage.size // item_size(name)
    return rebuild_tensor(replace(storage, dtype=name, size=size), offset, shape, strides)


def _rebuild_parameter(data: Any, *_) -> Any:
    return data


def _rebuild_from_type(function: Any, kind: Any, arguments: Any, *_) -> Any:
    """A tensor with attributes of its own, which are dropped."""
    builder = BUILDERS.get(function.name) if isinstance(function, Global) else None
    if builder is None or not isinstance(arguments, tuple):
        raise ValueError("a tensor that is built in an unknown way")
    return builder(*arguments)


def _ordered_dict(pairs: Any = ()) -> dict[Any, Any]:
    pairs = list(pairs.items() if isinstance(pairs, dict) else pairs)
    if not all(isinstance(key, (str, int)) for key, _ in pairs):
        raise ValueError("a dictionary's key that is neither text nor number")
    return dict(pairs)


def _stand_in(name: str) -> Callable[..., StandIn]:
    return lambda *_: StandIn(name)


BUILDERS: dict[str, Optional[Callable[..., Any]]] = {
    **dict.fromkeys((*STORAGES, *_DTYPES, *_NAMES_ONLY)),
    **{name: _stand_in(name) for name in _HARMLESS},
    **{name: lambda *_: {} for name in _DICTIONARIES},
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor_v2,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
}
