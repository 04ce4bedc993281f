"""What differs between the releases of MindSpore that this package runs with, 2.7.2 to 2.10. Imports none."""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mindspore_version() -> tuple[int, int]:
    """(major, minor) of the installed one."""
    major, minor, *_ = importlib.metadata.version("mindspore").split(".")
    return int(major), int(minor)


def sends_convolutions_to_reference_kernels() -> bool:
    """Whether 3x3 and grouped convolutions are about 100 times too slow on CPUs with AVX-512.

    They are from 2.9 on: it asks its oneDNN 3 for plain weight layouts, which the AVX-512 kernels refuse. With oneDNN held
    to AVX2 they go to a blocked matrix product (benchmarks/train_throughput.py measures both).
    """
    return mindspore_version() >= (2, 9)


def onednn_library(mindspore: Path) -> Path:
    """The file of oneDNN in the folder of the package: version 3 from 2.9 on."""
    return mindspore / "lib" / ("libdnnl.so.3" if mindspore_version() >= (2, 9) else "libdnnl.so.2")


def as_tensor_takes_it(array: NDArray[Any]) -> NDArray[Any]:
    """An array for `mindspore.Tensor`: 2.7 refuses those whose numbers lie anywhere in memory, as those of a file do."""
    return array if mindspore_version() >= (2, 8) else np.require(array, requirements="A")
