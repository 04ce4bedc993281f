"""What a classifier answered to every image, gathered from all processes, with pictures: for the page of a run."""

from collections.abc import Callable
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.image_formats import decode
from ..data.index import ImageIndex
from ..data.pipeline import eval_pipeline, read_batches
from ..distributed.communication import all_gather
from ..distributed.group import Group
from ..errors import UserError, first_line
from ..formats.classifier import Inside
from ..log import log
from ..model_info import Preprocessing
from ..report.answers import Answers, Picture
from ..report.numbers import pictured
from ..report.pictures import thumbnail, under_heat
from .gradcam import heat_maps
from .metrics import label_ranks


class Answered:
    """Collects the answers to the images of one process, in the order in which they are evaluated."""

    def __init__(self) -> None:
        self._batches: list[NDArray[np.float64]] = []

    def add(self, logits: NDArray[np.float32], labels: NDArray[np.int32]) -> None:
        """Takes a batch: logits float32 (N, classes), labels int (N,)."""
        shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        confidences = 1 / np.exp(shifted).sum(axis=1)  # softmax of the largest
        self._batches.append(np.stack([labels, logits.argmax(axis=1), label_ranks(logits, labels), confidences]))

    def gathered(self, images: int, group: Group) -> NDArray[np.float64]:
        """Of all processes, which share the images in turn: labels, guesses, ranks and confidences, float64 (4, images)."""
        own = np.zeros((4, -(-images // group.size)))
        if self._batches:
            found = np.concatenate(self._batches, axis=1)
            own[:, : found.shape[1]] = found
        return all_gather(own, group).transpose(1, 2, 0).reshape(4, -1)[:, :images]


def answers_of(
    columns: NDArray[np.float64], index: ImageIndex, num_classes: int, preprocessing: Preprocessing,
    inside: Callable[[], Inside], result: dict[str, Any],
) -> Answers:  # fmt: skip
    """The answers with the pictures that the page shows. `columns` are those of `Answered.gathered`."""
    labels, guesses, ranks = columns[:3].astype(np.int32)
    names = index.class_names if len(index.class_names) == num_classes else ()
    answers = Answers(labels, guesses, ranks, columns[3].astype(np.float32), num_classes, names, result)
    explained, plain = pictured(answers)
    heats = _heats(index, explained, guesses, preprocessing, inside)
    for position in (*explained, *plain):
        image = _image(index, position)
        if image:
            heat = heats.get(position)
            files = (thumbnail(image), thumbnail(heat) if heat else b"")
            answers.pictures[position] = Picture(index.name(position), *files)
    return answers


def _heats(
    index: ImageIndex, positions: list[int], guesses: NDArray[np.int32], preprocessing: Preprocessing,
    inside: Callable[[], Inside],
) -> dict[int, Image.Image]:  # fmt: skip
    """The crops of images under the heat maps of what the network put first; {} where it cannot be looked into."""
    if not positions:
        return {}
    chosen = np.array(positions)
    try:
        (batch,) = read_batches(eval_pipeline(index.select(chosen), preprocessing, len(chosen), 1))
        maps = heat_maps(inside(), batch[0], guesses[chosen])
    except (UserError, RuntimeError) as error:  # MindSpore's of an image that went since it was evaluated
        log.info("report: without heat maps: %s", first_line(error))
        return {}
    pixels = pixels_of(batch[0], preprocessing)
    return {position: under_heat(*both) for position, both in zip(positions, zip(pixels, maps))}


def pixels_of(images: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Normalized float32 (N, 3, H, W), or gray ones (N, 1, H, W) -> RGB uint8 (N, H, W, 3)."""
    values = images.transpose(0, 2, 3, 1) * np.array(preprocessing.std) + np.array(preprocessing.mean)
    pixels = (255 * values).round().clip(0, 255).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:3], 3))


def _image(index: ImageIndex, position: int) -> Optional[Image.Image]:
    """An image of the data set; None where it went or was damaged since it was evaluated."""
    try:
        content = index.read(position)
        return decode(content.tobytes()) if index.images.encoded else Image.fromarray(content)
    except (OSError, ValueError) as error:
        log.info("report: without %s: %s", index.name(position), error)
        return None
