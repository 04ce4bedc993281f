"""Checkpoint files as MindSpore writes them and as nobody should: made with its own message types."""

import hashlib
from pathlib import Path
from typing import Optional

import numpy as np
from mindspore.train.checkpoint_pb2 import Checkpoint

TYPES = {"float32": "Float32", "float16": "Float16", "float64": "Float64", "int32": "Int32", "int64": "Int64"}


def message(tensors: dict, texts: Optional[dict] = None) -> Checkpoint:
    """The message of name -> array and name -> text."""
    content = Checkpoint()
    for name, values in tensors.items():
        add(content, name, values.shape, TYPES[str(values.dtype)], values.tobytes())
    for name, text in (texts or {}).items():
        add(content, name, [0], "str", text.encode("utf-32-le"))
    return content


def add(content: Checkpoint, name: str, dimensions, kind: str, data: bytes) -> None:
    """Adds a value of any kind."""
    value = content.value.add()
    value.tag = name
    value.tensor.dims.extend(dimensions)
    value.tensor.tensor_type = kind
    value.tensor.tensor_content = data


def described(tensors: dict, description: str) -> Checkpoint:
    """The message of a checkpoint of ours with this description, whatever it says; its checksum is right."""
    digest = hashlib.sha256(description.encode())
    for name in sorted(tensors):
        values = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.data)
    return message(tensors, {"metadata": description, "sha256": digest.hexdigest()})


def write(path: Path, content: Checkpoint) -> Path:
    path.write_bytes(content.SerializeToString())
    return path
