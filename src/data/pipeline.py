"""MindSpore pipelines: image files in, batches of normalised float32 images and int32 labels out."""

import io
from collections.abc import Iterator

import numpy as np
from mindspore import dataset as ds
from mindspore.dataset import vision
from PIL import Image

from src.config import Config
from src.data.index import ImageIndex
from src.data.preprocessing import Preprocessing


class _Files:
    """Random access to the encoded images of an index, in a given order."""

    def __init__(self, index: ImageIndex, order: np.ndarray):
        self.index = index
        self.order = order

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, position: int) -> tuple:
        image = int(self.order[position])
        return np.fromfile(self.index.path(image), np.uint8), self.index.labels[image]


def train_pipeline(index: ImageIndex, config: Config, epoch: int, workers: int) -> ds.Dataset:
    """Batches of one epoch: shuffled, augmented, without the last incomplete batch.

    Order and augmentation depend on `seed`, `epoch` and `workers` alone, so that any epoch can be repeated by itself.

    Args:
        epoch: number of the epoch, from 0.
        workers: threads that decode and augment.

    Returns:
        Batches (images float32 (N, 3, H, W), labels int32 (N,)).
    """
    ds.config.set_seed((config.seed + epoch) % 2**32)
    order = np.random.default_rng([config.seed, epoch]).permutation(len(index))
    augment = [vision.RandomCropDecodeResize(config.image_size, scale=config.crop_scale, ratio=config.crop_ratio)]
    if config.hflip_prob:
        augment.append(vision.RandomHorizontalFlip(config.hflip_prob))
    if config.color_jitter:
        augment.append(vision.RandomColorAdjust(*[config.color_jitter] * 3))
    augment += _to_tensor(config.mean, config.std)
    return _source(index, order).map(augment, "image", num_parallel_workers=workers).batch(
        config.per_batch_size, drop_remainder=True, num_parallel_workers=1
    )


def eval_pipeline(index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int) -> ds.Dataset:
    """Batches of every image once, in the order of the index; the last batch may be smaller.

    Returns:
        Batches (images float32 (N, 3, H, W), labels int32 (N,)).
    """
    operations = _crop(preprocessing) + _to_tensor(preprocessing.mean, preprocessing.std)
    return _in_order(index, operations, batch_size, workers)


def pixel_pipeline(index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int) -> ds.Dataset:
    """As `eval_pipeline`, but before the normalisation.

    Returns:
        Batches (RGB images uint8 (N, H, W, 3), labels int32 (N,)).
    """
    return _in_order(index, _crop(preprocessing), batch_size, workers)


def _in_order(index: ImageIndex, operations: list, batch_size: int, workers: int) -> ds.Dataset:
    return (
        _source(index, np.arange(len(index)))
        .map(operations, "image", num_parallel_workers=workers)
        .batch(batch_size, num_parallel_workers=1)
    )


def _crop(preprocessing: Preprocessing) -> list:
    """Encoded image -> RGB, uint8 (H, W, 3)."""
    if preprocessing.antialias:
        return [PillowCrop(preprocessing)]
    size = preprocessing.resize
    resize = vision.Resize(size) if preprocessing.resize_mode == "shorter" else vision.Resize((size, size))
    return [vision.Decode(), resize, vision.CenterCrop(preprocessing.image_size)]


def read_batches(pipeline: ds.Dataset) -> Iterator[tuple]:
    """The batches of one pass as NumPy arrays (images, labels)."""
    yield from pipeline.create_tuple_iterator(num_epochs=1, output_numpy=True)


class PillowCrop:
    """Decodes, resizes with Pillow's antialiased bilinear filter and centre-crops, as torchvision does on PIL images.

    Encoded image, uint8 (bytes,) -> RGB, uint8 (H, W, 3).
    """

    def __init__(self, preprocessing: Preprocessing):
        self.preprocessing = preprocessing

    def __call__(self, encoded: np.ndarray) -> np.ndarray:
        image = decode_rgb(encoded.tobytes())
        height, width = self.preprocessing.image_size
        size = self.preprocessing.resize
        if self.preprocessing.resize_mode == "square":
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        else:
            shorter = min(image.size)
            scaled = [size if side == shorter else int(size * side / shorter) for side in image.size]
            image = image.resize(scaled, Image.Resampling.BILINEAR)
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        return np.asarray(image.crop((left, top, left + width, top + height)))


def decode_rgb(encoded: bytes) -> Image.Image:
    """Decodes an image to RGB; 16-bit gray keeps its upper 8 bits, as in MindSpore (Pillow alone would clip them)."""
    image = Image.open(io.BytesIO(encoded))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def _source(index: ImageIndex, order: np.ndarray) -> ds.Dataset:
    return ds.GeneratorDataset(
        _Files(index, order), ["image", "label"], shuffle=False, num_parallel_workers=1, python_multiprocessing=False
    )


def _to_tensor(mean: tuple, std: tuple) -> list:
    """uint8 (H, W, 3) -> float32 (3, H, W); the means are given for pixels scaled to 0..1."""
    return [vision.Normalize([255 * m for m in mean], [255 * s for s in std]), vision.HWC2CHW()]
