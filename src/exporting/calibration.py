"""What quantizing needs around it: images to calibrate with, and how the 8-bit file compares with the float one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.index import ImageIndex
from ..data.pipeline import eval_pipeline, read_batches
from ..data.read_ahead import Reading
from ..data.scan import usable_images
from ..data.sources.folder import index_folder
from ..data.sources.lists import index_unlabeled
from ..device import worker_count
from ..errors import UserError
from ..evaluation.evaluate import classified_batches
from ..evaluation.metrics import Counts
from ..formats.classifier import Classifier, fill_up
from ..model_info import Preprocessing

_BATCH = 8  # images; calibration keeps the activations of one batch in memory


def calibration_images(config: Config) -> ImageIndex:
    """The images of `calibration_dir`: with labels when it is a folder of class folders, else without.

    Raises:
        UserError: no such folder, no images, or images that cannot be decoded (`scan` and `bad_images` say what then).
    """
    if not config.calibration_dir:
        raise UserError("calibration_dir: no value; int8 needs images to calibrate with: pass --calibration_dir FOLDER")
    root = Path(config.calibration_dir)
    index = index_unlabeled(root, "calibration_dir")
    if all("/" in file for file in index.files):
        index = index_folder(root)
    index = replace(index, reading=Reading.of(config))
    workers = worker_count(config.num_parallel_workers)
    return usable_images(index, config.scan, config.bad_images, Path(config.cache_dir), workers)


def spread(index: ImageIndex, count: int) -> ImageIndex:
    """At most `count` images, evenly spread over the index, which is sorted by class."""
    positions = np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int))
    return index.select(positions)


def calibration_batches(
    index: ImageIndex, preprocessing: Preprocessing, workers: int, size: int
) -> Iterator[NDArray[np.float32]]:
    """Batches of preprocessed images, float32 (N, 3, H, W); `size` 0: of any size, else the last one is filled up."""
    for images, _ in read_batches(eval_pipeline(index, preprocessing, size or _BATCH, workers)):
        yield fill_up(images, size) if size else images


def compare(
    classifiers: dict[str, Classifier], index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int
) -> tuple[dict[str, dict[str, Any]], float]:
    """Runs two classifiers over the same images.

    Args:
        classifiers: name -> classifier, two of them.
        index: the images; without labels (-1) only the agreement is computed.

    Returns:
        Name -> {"images", "top1", "top5"} (shares; empty without labels), and the share of images for which both put the
        same class first.
    """
    first, second = classifiers.values()

    def both(images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.stack([first(images), second(images)], 1)

    counts, equal = [Counts(), Counts()], 0
    labeled = bool((index.labels >= 0).all())
    for logits, labels in classified_batches(both, index, preprocessing, batch_size, workers):
        equal += int((logits[:, 0].argmax(1) == logits[:, 1].argmax(1)).sum())
        for number, count in enumerate(counts):
            if labeled:
                count.add(logits[:, number], labels)
    accuracy = {
        name: {"images": count.images, "top1": count.top1 / count.images, "top5": count.top5 / count.images}
        for name, count in zip(classifiers, counts)
        if labeled
    }
    return accuracy, equal / len(index)
