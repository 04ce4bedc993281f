"""The content of a `.ckpt` file, read without MindSpore, whose own loader believes sizes that a file only claims.

A file is one protobuf message, `Checkpoint` of MindSpore's checkpoint.proto: values of a name (1) and a tensor (2), which is
dimensions (1), the name of a type (2) and bytes (3). A tensor of more than 512 MB comes in pieces: values of the same name
that follow each other. A text is a "tensor" of type `str`, four bytes a letter.
"""

import binascii
import hashlib
import math
import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from .errors import UserError, describe_os_error
from .protobuf import block, fields, integers, text

TYPES = {
    "Int8": "int8", "UInt8": "uint8", "Int16": "int16", "UInt16": "uint16", "Int32": "int32", "UInt32": "uint32",
    "Int64": "int64", "UInt64": "uint64", "Float16": "float16", "Float32": "float32", "Float64": "float64", "Bool": "bool",
    "BFloat16": "bfloat16",
}  # fmt: skip
STATE_PREFIX = "train."  # of the names of all that only training needs
_TEXT = "str"
_MOST_DIMENSIONS = 8  # a weight of a convolution has 4
_LONGEST_NAME = 1024  # bytes
_LONGEST_TEXT = 256 << 20  # bytes, four a letter: a description has 64 MB at most
_CHECKSUM, _CHECKSUM_LENGTH = b"crc_num", 17  # at the end of files that ms.save_checkpoint(crc_check=True) wrote


@dataclass(frozen=True)
class Tensor:
    """A tensor in memory.

    Attributes:
        dtype: NumPy's name of the type, or bfloat16.
        content: the bytes of its numbers, little-endian, in pieces.
    """

    dtype: str
    shape: tuple[int, ...]
    content: list[memoryview]

    def values(self) -> NDArray[Any]:
        """The numbers, those of bfloat16 as float32; where they are in one piece, the array shares its memory."""
        content = self.content[0] if len(self.content) == 1 else b"".join(self.content)
        joined = np.frombuffer(content, "<u2" if self.dtype == "bfloat16" else self.dtype)
        if self.dtype == "bfloat16":  # the upper half of the same number's float32
            joined = (joined.astype(np.uint32) << 16).view(np.float32)
        return joined.reshape(self.shape)


def read_file(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the texts of a checkpoint by name. The tensors' bytes stay in the file until they are asked for.

    Raises:
        UserError: cannot be read, no checkpoint, truncated, or a file that contradicts itself: a tensor with another number
            of bytes than its shape needs, an unknown type, two of one name.
    """
    try:
        with open(path, "rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from None
    except ValueError:  # of mmap: an empty file
        raise UserError(f"{path}: not a MindSpore checkpoint: empty; use another one") from None
    try:
        return _parse(content)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path}: not a MindSpore checkpoint, or truncated or damaged ({error}); use another one") from None


def read_described(path: Path) -> tuple[dict[str, Tensor], Optional[str]]:
    """The tensors of a checkpoint and its description (JSON); None for a file that another program wrote.

    Raises:
        UserError: as `read_file`, or a file that was changed since it was written.
    """
    tensors, texts = read_file(path)
    text, digest = texts.get("metadata"), texts.get("sha256")
    if (text is None) != (digest is None):
        raise UserError(f"{path}: damaged: its metadata or its checksum is gone; use another one")
    if text is not None and digest_of(tensors, text) != digest:
        raise UserError(f"{path}: damaged: the checksum does not match its content; use another one")
    return tensors, text


def digest_of(tensors: dict[str, Tensor], description: str) -> str:
    """SHA-256 over all tensors and the description, hexadecimal."""
    digest = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tensor.shape or (1,)}".encode())  # a single number counts as a list of one
        for piece in tensor.content:
            digest.update(piece)
    return digest.hexdigest()


def tensor_of(values: NDArray[Any]) -> Tensor:
    """An array as it would be read from a file."""
    return Tensor(str(values.dtype), values.shape, [np.ascontiguousarray(values).reshape(-1).data])


def _parse(content: memoryview) -> tuple[dict[str, Tensor], dict[str, str]]:
    stored: dict[str, tuple[str, tuple[int, ...], list[memoryview]]] = {}  # name -> type, dimensions, pieces
    last = ""
    for number, value in fields(_without_checksum(content)):
        name, kind, dimensions, piece = _read_value(number, value)
        if name not in stored:
            stored[name] = (kind, dimensions, [piece])
        elif name == last and stored[name][:2] == (kind, dimensions):
            stored[name][2].append(piece)
        else:
            raise ValueError(f"two tensors of the name {name!r}")
        last = name
    if not stored:
        raise ValueError("it holds nothing")
    texts = {name: _text(pieces) for name, (kind, _, pieces) in stored.items() if kind == _TEXT}
    return {name: _tensor(name, *parts) for name, parts in stored.items() if parts[0] != _TEXT}, texts


def _without_checksum(content: memoryview) -> memoryview:
    end = content[-_CHECKSUM_LENGTH:]
    if bytes(end[: len(_CHECKSUM)]) != _CHECKSUM:
        return content
    content = content[:-_CHECKSUM_LENGTH]
    if binascii.crc32(content) != int.from_bytes(end[len(_CHECKSUM) :], "big"):
        raise ValueError("its checksum does not match its content")
    return content


def _read_value(number: int, value) -> tuple[str, str, tuple[int, ...], memoryview]:
    """Name, type, dimensions and bytes of one value."""
    parts = dict(fields(block(value)))
    if number != 1 or set(parts) != {1, 2} or not 0 < len(block(parts[1])) <= _LONGEST_NAME:
        raise ValueError("a value that is no tensor with a name")
    dimensions, kind, content = [], "", None
    for field, item in fields(block(parts[2])):
        if field == 1:
            dimensions += integers(item)
        elif field == 2:
            kind = text(item)
        elif field == 3:
            content = block(item)
        else:
            raise ValueError("a tensor with a part that is unknown")
        if len(dimensions) > _MOST_DIMENSIONS:
            raise ValueError("a tensor of too many dimensions")
    if content is None or (kind != _TEXT and kind not in TYPES):
        raise ValueError(f"a tensor of the unknown type {kind[:20]!r}")
    return text(parts[1]), kind, tuple(dimensions), content


def _tensor(name: str, kind: str, dimensions: tuple[int, ...], pieces: list[memoryview]) -> Tensor:
    dtype = TYPES[kind]
    item_size = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    length = sum(map(len, pieces))
    shape = () if dimensions == (0,) and length == item_size else dimensions  # how MindSpore writes a single number
    if any(size < 1 for size in shape) or math.prod(shape) * item_size != length:
        raise ValueError(f"{name!r} has {length} bytes, which are not those of {shape} numbers of {dtype}")
    return Tensor(dtype, shape, pieces)


def _text(pieces: list[memoryview]) -> str:
    if sum(map(len, pieces)) > _LONGEST_TEXT:
        raise ValueError("a text of more than 64 million letters")
    return b"".join(pieces).decode("utf-32-le")
