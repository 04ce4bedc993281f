"""Images that are made up, to measure how fast training is without the cost of reading and decoding."""

import hashlib
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...config import Config
from ..index import ImageIndex, index_of
from .images import Images

log = logging.getLogger("resnet_zoo")

_DIFFERENT = 64  # images that are kept in memory; the others repeat them


class SyntheticImages(Images):
    """Pixels drawn evenly from 0..255 by the seed."""

    kind = "synthetic"
    encoded = False
    in_memory = True
    root = Path("synthetic")

    def __init__(self, count: int, size: tuple[int, int], seed: int):
        self.count = count
        self.pixels = np.random.default_rng(seed).integers(0, 256, (min(count, _DIFFERENT), *size, 3), np.uint8)

    def __len__(self) -> int:
        return self.count

    def name(self, image: int) -> str:
        return str(image)

    def read(self, image: int) -> NDArray[np.uint8]:
        return self.pixels[image % len(self.pixels)]

    def digest(self) -> bytes:
        digest = hashlib.sha256(f"synthetic {self.count}".encode())
        digest.update(self.pixels.data)
        return digest.digest()


def index_synthetic(config: Config) -> ImageIndex:
    """`synthetic_images` images of `image_size` with labels drawn evenly by the seed; classes have no names."""
    log.warning("dataset: the images are synthetic; accuracy means nothing, only speed does")
    images = SyntheticImages(config.synthetic_images, config.image_size, config.seed)
    labels = np.random.default_rng([config.seed, 1]).integers(0, config.num_classes, len(images))
    return index_of(images, labels, ())
