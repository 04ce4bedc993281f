"""MINDIR files: written from a network that was prepared for inference, encrypted or not, and run by MindSpore."""

from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray

from ..errors import UserError, first_line
from .check_mindir import check_mindir
from .classifier import Classifier, cannot_run
from .export_path import any_images, plain_path
from .graph_file import check_file
from .keyfile import ENCRYPTION


def write_mindir(network: nn.Cell, shape: tuple[int, ...], batch_size: int, path: Path, key: Optional[bytes] = None) -> None:
    """Writes a MINDIR file for float32 images of `shape` (3, H, W); `batch_size` 0: any. `key`: encrypts the file."""
    encryption = {"enc_key": key, "enc_mode": ENCRYPTION} if key else {}
    with plain_path(path) as file:
        ms.export(network, any_images(shape, batch_size), file_name=file, file_format="MINDIR", **encryption)


def open_mindir(path: Path, key: Optional[bytes] = None) -> Classifier:
    """Runs a MINDIR file, encrypted with `key` if there is one.

    Raises:
        UserError: MindSpore cannot load it, or it is not encrypted and asks for more than the operators of a classifier.
    """
    if not key:
        check_file(path, check_mindir)
    decryption = {"dec_key": key, "dec_mode": ENCRYPTION} if key else {}
    try:
        network = nn.GraphCell(ms.load(str(path), **decryption))
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        if key:
            raise UserError(f"{path}: cannot be decrypted with the key in enc_key_file, or is no MINDIR file") from None
        raise UserError(f"{path}: not a usable MINDIR file: {first_line(error)}") from None

    def classify(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return network(ms.Tensor(images)).asnumpy()
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise cannot_run(path, images, error) from None

    return classify
