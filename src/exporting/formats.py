"""Writes a network that was prepared for inference as MINDIR, ONNX or AIR."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn

from src.keyfile import ENCRYPTION


def write_mindir(network: nn.Cell, shape: tuple, batch_size: int, path: Path, key: Optional[bytes] = None) -> None:
    """Writes a MINDIR file for float32 images of `shape` (3, H, W); `batch_size` 0: any. `key`: encrypts the file."""
    encryption = {"enc_key": key, "enc_mode": ENCRYPTION} if key else {}
    with _plain_path(path) as file:
        ms.export(network, _input(shape, batch_size), file_name=file, file_format="MINDIR", **encryption)


def write_air(network: nn.Cell, shape: tuple, batch_size: int, path: Path) -> None:
    """Writes an AIR file, on Ascend only. AIR has no dynamic batch: `batch_size` is 1 or more."""
    with _plain_path(path) as file:
        ms.export(network, ms.Tensor(np.zeros((batch_size, *shape), np.float32)), file_name=file, file_format="AIR")


def write_onnx(network: nn.Cell, shape: tuple, batch_size: int, path: Path) -> None:
    """Writes an ONNX file with input "input" and output "output1"; `batch_size` 0: any."""
    import onnx

    with _plain_path(path) as file:
        ms.onnx.export(network, _input(shape, 0), file_name=file, input_names=["input"], output_names=["output1"])
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        if batch_size:
            dimension.dim_value = batch_size
        else:
            dimension.dim_param = "N"  # MindSpore writes the number -1
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _input(shape: tuple, batch_size: int) -> ms.Tensor:
    return ms.Tensor(shape=(batch_size or None, *shape), dtype=ms.float32)


@contextlib.contextmanager
def _plain_path(path: Path) -> Iterator[str]:
    """A file to write that becomes `path`: MindSpore refuses paths with blanks or letters beyond ASCII."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/network{path.suffix}"
        yield file
        shutil.move(file, path)
