"""AIR files: written on Ascend from a network that was prepared for inference; nothing here opens them."""

from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from .export_path import plain_path


def write_air(network: nn.Cell, shape: tuple[int, ...], batch_size: int, path: Path) -> None:
    """Writes an AIR file, on Ascend only. AIR has no dynamic batch: `batch_size` is 1 or more."""
    with plain_path(path) as file:
        ms.export(network, ms.Tensor(np.zeros((batch_size, *shape), np.float32)), file_name=file, file_format="AIR")
