"""MindSpore pipelines: images of any format in, batches of images and labels out."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
from mindspore import dataset as ds
from mindspore.dataset import vision
from numpy.typing import NDArray
from PIL import Image

from ..config import Config
from ..distributed.group import ALONE, Group
from ..errors import UserError
from ..model_info import Preprocessing
from .augmentation import BatchDraws, image_operations
from .image_formats import decode, middle, without_ends
from .index import ImageIndex
from .order import epoch_order, shard_places, steps_per_epoch
from .preprocessing import covering_size, to_gray
from .read_ahead import read_ahead


class _Source:
    """The images of an index in a given order, one row each: (image, label, place in the order).

    Args:
        keeps_ratio: leaves out the ends of very long and narrow images, which a resize that keeps the aspect ratio needs.
    """

    def __init__(self, index: ImageIndex, order: NDArray[np.int64], places: NDArray[np.int64], keeps_ratio: bool = False):
        self.index = index
        self.positions = order[places]
        self.places = places
        self.keeps_ratio = keeps_ratio
        self.block = index.images.block

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        labels = self.index.labels[self.positions]
        try:
            yield from zip(self._images(), labels, self.places)
        except UserError as error:
            self.index.images.failure = error  # MindSpore makes a RuntimeError of it
            raise

    def _images(self) -> Iterator[NDArray[np.uint8]]:
        if self.index.images.in_memory:
            return map(self._read, range(len(self)))
        blocks = -(-len(self) // self.block)
        return chain.from_iterable(read_ahead(self._read_block, blocks, self.index.reading, self._name))

    def _read_block(self, block: int) -> list[NDArray[np.uint8]]:
        return [self._read(row) for row in range(len(self))[block * self.block :][: self.block]]

    def _name(self, block: int) -> str:
        return str(self.index.path(self.positions[block * self.block]))

    def _read(self, row: int) -> NDArray[np.uint8]:
        image = self.index.read(self.positions[row])
        return np.frombuffer(without_ends(image.tobytes()), np.uint8) if self.keeps_ratio else image


def train_pipeline(
    index: ImageIndex, config: Config, epoch: int, workers: int, first_step: int = 0, group: Group = ALONE
) -> ds.Dataset:
    """Batches of one epoch: shuffled, augmented, without the last incomplete batch.

    Order and augmentation depend on `seed`, `epoch`, `workers` and `group` alone, so that any epoch can be repeated by
    itself, and from any step on: what comes before `first_step` is decoded, augmented and thrown away.

    Args:
        epoch: number of the epoch, from 0.
        workers: threads that decode and augment.
        first_step: the step to begin with, from 0; one has `accumulate_steps` batches.
        group: this process among those that share each global batch; `per_batch_size` is its own part.

    Returns:
        Batches (images (N, 3, H, W), labels int32 (N,)), with erasing or mixing also what `BatchDraws` gives. Images are RGB
        uint8, or without `device_normalization` float32, normalized. `get_dataset_size()` counts the batches before
        `first_step` too.
    """
    config = config.model_copy(update={"image_size": config.crop_size(epoch)})
    # Read when iteration starts, by every random operation of MindSpore's.
    ds.config.set_seed(int(np.random.SeedSequence([config.seed, epoch, group.rank]).generate_state(1)[0]))
    ds.config.set_fast_recovery(False)  # otherwise the augmentation after `first_step` would be that of the first step
    balanced = index.labels if config.sampling == "balanced" else None
    order = epoch_order(len(index), config.seed, epoch, config.repeated_augment, balanced)
    images_per_step = config.per_batch_size * config.accumulate_steps
    places = shard_places(steps_per_epoch(len(index), images_per_step, group), images_per_step, group)
    operations = image_operations(config, index.images.encoded) + _gray(config.mean)
    if not config.device_normalization:
        operations.append(_normalize(config.mean, config.std))
    operations.append(vision.HWC2CHW())
    pipeline = _rows(_Source(index, order, places)).map(operations, "image", num_parallel_workers=workers)
    pipeline = pipeline.batch(config.per_batch_size, drop_remainder=True, num_parallel_workers=1)
    columns = ["image", "label"]
    if BatchDraws.is_needed(config):
        drawn = ["boxes", "mixing"]
        pipeline = pipeline.map(BatchDraws(config, epoch), ["place"], drawn, num_parallel_workers=1)
        columns += drawn
    pipeline = pipeline.project(columns)
    if first_step:
        pipeline.set_init_step(first_step * config.accumulate_steps)
    return pipeline


def eval_pipeline(
    index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int, as_bytes: bool = False
) -> ds.Dataset:
    """Batches of every image once, in the order of the index; the last batch may be smaller.

    Returns:
        Batches (images float32 (N, 3, H, W), labels int32 (N,)); `as_bytes` images RGB uint8, before their normalization.
    """
    operations = _crop(preprocessing, index.images.encoded)
    if not as_bytes:
        operations.append(_normalize(preprocessing.mean, preprocessing.std))
    return _in_order(index, preprocessing, [*operations, vision.HWC2CHW()], batch_size, workers)


def pixel_pipeline(index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int) -> ds.Dataset:
    """As `eval_pipeline`, but pixels as image files have them.

    Returns:
        Batches (images uint8 (N, H, W, 3), or gray ones (N, H, W, 1), labels int32 (N,)).
    """
    return _in_order(index, preprocessing, _crop(preprocessing, index.images.encoded), batch_size, workers)


class OneImage:
    """The preprocessing of an evaluation for one image at a time, at once and from any thread.

    The content of an image file -> what `eval_pipeline` makes of it, float32 (3, height, width).

    Args:
        most_pixels: the largest image that is decoded.
    """

    def __init__(self, preprocessing: Preprocessing, most_pixels: int):
        self.operations = [
            *_crop(preprocessing, encoded=False),
            _normalize(preprocessing.mean, preprocessing.std),
            vision.HWC2CHW(),
        ]
        self.keeps_ratio = preprocessing.resize_mode == "shorter"
        self.most_pixels = most_pixels

    def __call__(self, content: bytes) -> NDArray[np.float32]:
        """Raises ImageError where the image cannot be used."""
        picture = decode(content, self.most_pixels)
        image: Any = np.asarray(middle(picture) if self.keeps_ratio else picture)
        for operation in self.operations:
            image = operation(image)
        return image


def _in_order(
    index: ImageIndex, preprocessing: Preprocessing, operations: list[Any], batch_size: int, workers: int
) -> ds.Dataset:
    keeps_ratio = index.images.encoded and preprocessing.resize_mode == "shorter"
    return (
        _rows(_Source(index, np.arange(len(index)), np.arange(len(index)), keeps_ratio))
        .map(operations, "image", num_parallel_workers=workers)
        .batch(batch_size, num_parallel_workers=1)
        .project(["image", "label"])
    )


def _rows(source: _Source) -> ds.Dataset:
    columns = ["image", "label", "place"]
    return ds.GeneratorDataset(source, columns, shuffle=False, num_parallel_workers=1, python_multiprocessing=False)


def _crop(preprocessing: Preprocessing, encoded: bool) -> list[Any]:
    """Image, encoded or RGB uint8 (H, W, 3) -> RGB, uint8 (H, W, 3), or gray (H, W, 1), of `image_size`."""
    return _color_crop(preprocessing, encoded) + _gray(preprocessing.mean)


def _gray(mean: tuple[float, ...]) -> list[Any]:
    """RGB, uint8 (H, W, 3) -> luma, uint8 (H, W, 1), where there is one mean; else nothing."""
    return [to_gray] if len(mean) == 1 else []


def _color_crop(preprocessing: Preprocessing, encoded: bool) -> list[Any]:
    if preprocessing.antialias:
        return [PillowCrop(preprocessing, encoded)]
    size = preprocessing.resize
    if preprocessing.resize_mode == "square":
        resize = vision.Resize(size if isinstance(size, tuple) else (size, size))
    else:
        resize = _SampledCover(size) if isinstance(size, tuple) else vision.Resize(size)
    decode_image = [vision.Decode()] if encoded else []
    return [*decode_image, resize, vision.CenterCrop(preprocessing.image_size)]


class _SampledCover:
    """MindSpore's resize to `covering_size`, which differs from image to image. RGB, uint8 (H, W, 3) in and out."""

    def __init__(self, target: tuple[int, int]):
        self.target = target

    def __call__(self, image: NDArray[Any]) -> NDArray[Any]:
        return vision.Resize(covering_size(image.shape[0], image.shape[1], self.target))(image)


def read_batches(pipeline: ds.Dataset) -> Iterator[tuple[NDArray[Any], ...]]:
    """The batches of one pass as NumPy arrays (images, labels)."""
    yield from pipeline.create_tuple_iterator(num_epochs=1, output_numpy=True)


class PillowCrop:
    """Decodes, resizes with Pillow's antialiased bilinear filter and center-crops, as torchvision does on PIL images.

    Encoded image, uint8 (bytes,), or with `encoded` False pixels RGB, uint8 (H, W, 3) -> RGB, uint8 (H, W, 3).
    """

    def __init__(self, preprocessing: Preprocessing, encoded: bool = True):
        self.preprocessing = preprocessing
        self.encoded = encoded

    def __call__(self, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = decode(content.tobytes()) if self.encoded else Image.fromarray(content)
        height, width = self.preprocessing.image_size
        scaled_height, scaled_width = self._scaled(image.height, image.width)
        image = image.resize((scaled_width, scaled_height), Image.Resampling.BILINEAR)
        left, top = round((image.width - width) / 2), round((image.height - height) / 2)
        return np.asarray(image.crop((left, top, left + width, top + height)))

    def _scaled(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of an image of this height and width after the resize."""
        size = self.preprocessing.resize
        if self.preprocessing.resize_mode == "square":
            return size if isinstance(size, tuple) else (size, size)
        if isinstance(size, tuple):
            return covering_size(height, width, size)
        shorter = min(height, width)
        scaled_height, scaled_width = (size if side == shorter else int(size * side / shorter) for side in (height, width))
        return scaled_height, scaled_width


def _normalize(mean: tuple[float, ...], std: tuple[float, ...]) -> vision.Normalize:
    """uint8 (H, W, C) -> float32; the means are given for pixels scaled to 0..1."""
    return vision.Normalize([255 * m for m in mean], [255 * s for s in std])
