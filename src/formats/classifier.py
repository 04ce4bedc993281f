"""What every opened file becomes: a function from images to logits."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..model_info import ModelInfo, Preprocessing

Classifier = Callable[[np.ndarray], np.ndarray]  # images float32 (N, 3, H, W) -> logits float32 (N, classes)


@dataclass(frozen=True)
class LoadedClassifier:
    """A network ready to classify.

    Attributes:
        classify: images float32 (N, 3, H, W) -> logits float32 (N, num_classes).
        class_names: name of every class; empty where the file does not tell.
        num_classes: number of logits.
        preprocessing: what the images must have gone through.
        info: all that the file says of itself.
    """

    classify: Classifier
    class_names: tuple[str, ...]
    num_classes: int
    preprocessing: Preprocessing
    info: ModelInfo


def in_batches_of(batch_size: int, classify: Classifier) -> Classifier:
    """Hands images on in batches of exactly `batch_size`; the last one is filled up."""

    def run(images: np.ndarray) -> np.ndarray:
        filled = fill_up(images, batch_size)
        parts = [classify(filled[i : i + batch_size]) for i in range(0, len(filled), batch_size)]
        return np.concatenate(parts)[: len(images)]

    return run


def fill_up(images: np.ndarray, batch_size: int) -> np.ndarray:
    """Images (N, 3, H, W) with the last one repeated until they make up whole batches."""
    return np.concatenate([images, np.repeat(images[-1:], -len(images) % batch_size, axis=0)])
