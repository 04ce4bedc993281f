"""What every opened file becomes: a function from images to logits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray

from ..errors import UserError, first_line
from ..model_info import ModelInfo, Preprocessing
from ..models.inputs import OnBytes

# Images (N, 3, H, W), float32 or where it `takes_bytes` RGB uint8 too -> logits float32 (N, classes).
Classifier = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class Inside:
    """What lies before the logits of a network that ends with a global average pool and a linear classifier.

    Attributes:
        last_stage: images float32 (N, 3, H, W) -> the output of the last stage, float32 (N, C, h, w), and logits float32
            (N, num_classes). Its mean over h and w are the pooled features.
        weights: of the linear classifier, float32 (num_classes, C).
    """

    last_stage: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]
    weights: NDArray[np.float32]


def _shows_logits_alone() -> Inside:
    raise UserError("this file gives logits alone; pass the checkpoint to see more of the network")


@dataclass(frozen=True)
class LoadedClassifier:
    """A network ready to classify.

    Attributes:
        classify: images float32 (N, 3, H, W) -> logits float32 (N, num_classes).
        class_names: name of every class; empty where the file does not tell.
        num_classes: number of logits.
        preprocessing: what the images must have gone through.
        info: all that the file says of itself.
        takes_bytes: whether it is best given images before their normalization, RGB uint8 (N, 3, H, W), which it takes too.
        inside: opens what lies before the logits, when it is asked for. Raises UserError where the format does not show it.
    """

    classify: Classifier
    class_names: tuple[str, ...]
    num_classes: int
    preprocessing: Preprocessing
    info: ModelInfo
    takes_bytes: bool = False
    inside: Callable[[], Inside] = _shows_logits_alone


def network_classifier(network: nn.Cell, preprocessing: Preprocessing) -> Classifier:
    """The classifier that a network is, for images before and after their normalization."""
    of_bytes = OnBytes(network, preprocessing.mean, preprocessing.std).set_train(False)
    return lambda images: (of_bytes if images.dtype == np.uint8 else network)(ms.Tensor(images)).asnumpy()


def checking_logits(path: Path, num_classes: int, classify: Classifier) -> Classifier:
    """The same classifier; raises UserError for logits of another number of classes, or that are not finite."""

    def run(images: NDArray[Any]) -> NDArray[Any]:
        logits = classify(images)
        if logits.shape != (len(images), num_classes):
            raise UserError(
                f"{path}: gives {logits.shape} numbers for {len(images)} images, num_classes is {num_classes}; "
                "pass --num_classes, or export the checkpoint again"
            )
        if not np.isfinite(logits).all():
            raise UserError(f"{path}: the network's output holds NaN or Inf; its weights are unusable")
        return logits

    return run


def cannot_run(path: Path, images: NDArray[np.float32], error: Exception) -> UserError:
    """What a runtime's error on images (N, 3, H, W) means to the user."""
    height, width = images.shape[2:]
    return UserError(
        f"{path}: cannot be run on images of image_size {height},{width}: {first_line(error)}; leave --image_size away, or "
        "export the checkpoint again"
    )


def in_batches_of(batch_size: int, classify: Classifier) -> Classifier:
    """Hands images on in batches of exactly `batch_size`; the last one is filled up."""

    def run(images: NDArray[Any]) -> NDArray[Any]:
        filled = fill_up(images, batch_size)
        parts = [classify(filled[i : i + batch_size]) for i in range(0, len(filled), batch_size)]
        return np.concatenate(parts)[: len(images)]

    return run


def fill_up(images: NDArray[Any], batch_size: int) -> NDArray[Any]:
    """Images (N, ...) with the last one repeated until they make up whole batches."""
    return np.concatenate([images, np.repeat(images[-1:], -len(images) % batch_size, axis=0)])
