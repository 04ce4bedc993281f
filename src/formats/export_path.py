"""Paths and inputs as MindSpore's exporters take them."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import mindspore as ms


def any_images(shape: tuple[int, ...], batch_size: int) -> ms.Tensor:
    """The input of a network that is exported: float32 images of `shape` (3, H, W); `batch_size` 0: any."""
    return ms.Tensor(shape=(batch_size or None, *shape), dtype=ms.float32)


@contextlib.contextmanager
def plain_path(path: Path) -> Iterator[str]:
    """A file to write that becomes `path`: MindSpore refuses paths with blanks or letters beyond ASCII."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/network{path.suffix}"
        yield file
        if not Path(file).exists():  # MindSpore keeps the error to itself
            raise OSError("MindSpore could not write the file")
        shutil.move(file, path)
