"""Pooled features of images: written to a file, read from it, and compared."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.cache import load_arrays, write_arrays
from ..data.index import ImageIndex
from ..errors import UserError
from ..formats.classifier import LoadedClassifier
from .evaluate import classified_batches

SIDE = 16  # of the small gray pictures that are kept beside the features, to tell copies from pictures that are alike
_KEYS = ("features", "labels", "names", "class_names", "thumbnails")
_LARGEST_FEATURE = 1e15  # whose square is still a float32
_ROWS = 1024  # compared with all others at a time
_GRAY = np.array([0.299, 0.587, 0.114], np.float32).reshape(3, 1, 1)  # ITU-R BT.601, as Pillow's


@dataclass(frozen=True)
class Embeddings:
    """What a network makes of the images of a data set.

    Attributes:
        features: the mean of the last stage's output over its pixels, float32 (N, C).
        labels: class numbers, int32 (N,); -1 where there is none.
        names: the paths of the images, str (N,).
        class_names: the name of class i at place i, str (classes,); empty where there are none.
        thumbnails: what the network saw, gray, uint8 (N, SIDE, SIDE).
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int32]
    names: NDArray[np.str_]
    class_names: NDArray[np.str_]
    thumbnails: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.features)

    def class_of(self, label: int) -> str:
        """The name of a class, or its number where there are no names."""
        return str(self.class_names[label]) if label < len(self.class_names) else str(label)


def embed(classifier: LoadedClassifier, index: ImageIndex, batch_size: int, workers: int) -> Embeddings:
    """The embeddings of every image of an index, in its order.

    Raises:
        UserError: the network's file does not show its last stage, or an image is damaged.
    """
    inside, preprocessing = classifier.inside(), classifier.preprocessing
    mean, std = (np.array(values, np.float32).reshape(-1, 1, 1) for values in (preprocessing.mean, preprocessing.std))

    def described(images: NDArray[np.float32]) -> NDArray[np.float32]:
        stage, _ = inside.last_stage(images)
        gray = ((images * std + mean) * (_GRAY if images.shape[1] == 3 else np.float32(1))).sum(1)
        return np.hstack([stage.mean((2, 3)), _small(gray).reshape(len(images), -1)])

    rows = np.concatenate([rows for rows, _ in classified_batches(described, index, preprocessing, batch_size, workers)])
    if not np.isfinite(rows).all():
        raise UserError("the network's features hold NaN or Inf; its weights are unusable")
    features, thumbnails = rows[:, : -SIDE * SIDE], rows[:, -SIDE * SIDE :].reshape(-1, SIDE, SIDE)
    return Embeddings(
        np.ascontiguousarray(features),
        index.labels,
        np.array([str(index.path(place)) for place in range(len(index))], np.str_),
        np.array(index.class_names, np.str_),
        np.round(255 * thumbnails.clip(0, 1)).astype(np.uint8),
    )


def _small(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gray images (N, H, W) as means over areas, (N, SIDE, SIDE)."""
    for axis in (1, 2):
        edges = np.linspace(0, gray.shape[axis], SIDE + 1)
        starts = np.minimum(edges[:-1].astype(int), gray.shape[axis] - 1)
        counts = np.float32(np.maximum(np.diff([*starts, gray.shape[axis]]), 1))
        shape = [1, 1, 1]
        shape[axis] = SIDE
        gray = np.add.reduceat(gray, starts, axis) / counts.reshape(shape)
    return gray


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Writes an .npz file that `numpy.load` reads, whole or not at all. Raises UserError where that fails."""
    write_arrays(path, {key: getattr(embeddings, key) for key in _KEYS})


def read_embeddings(path: Path) -> Embeddings:
    """What `write_embeddings` wrote. Raises UserError where the file is missing, damaged or something else."""
    if not path.is_file():
        raise UserError(f"'{path}': no such file; eval.py --embeddings {path} writes it")
    arrays = load_arrays(path, _KEYS)
    if not arrays or not _fit(**arrays):
        raise UserError(f"'{path}': damaged, or not what eval.py --embeddings writes; write it again")
    return Embeddings(**arrays)


def _fit(features: Any, labels: Any, names: Any, class_names: Any, thumbnails: Any) -> bool:
    count = len(features) if features.ndim == 2 else 0
    if not count or not features.shape[1] or (features.dtype, labels.dtype) != (np.float32, np.int32):
        return False
    if any(text.dtype.str[:2] != "<U" or not text.itemsize or text.ndim != 1 for text in (names, class_names)):
        return False
    if (labels.shape, names.shape, thumbnails.shape) != ((count,), (count,), (count, SIDE, SIDE)):
        return False
    if thumbnails.dtype != np.uint8 or not (np.abs(features) < _LARGEST_FEATURE).all():  # NaN is not less either
        return False
    are_text = all((text.view(np.uint32) <= 0x10FFFF).all() for text in (names, class_names) if text.size)
    return are_text and int(labels.min()) >= -1


def directions(features: NDArray[np.float32], center: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features (N, C) seen from a center (C,), of length 1: their products are cosines.

    Features are 0 or more, so that seen from 0 all of them lie in much the same direction.
    """
    moved = features - center
    return moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)


def nearest(
    asked: NDArray[np.float32], known: NDArray[np.float32], count: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """The nearest of the known directions for each one asked for, the nearest first.

    Args:
        asked: (N, C).
        known: (M, C).

    Yields:
        (places in `known`, int64 (count,), their cosines, float32 (count,)); fewer where there are fewer.
    """
    count = min(count, len(known))
    for start in range(0, len(asked), _ROWS):
        cosines = asked[start : start + _ROWS] @ known.T
        some = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        for row, places in zip(cosines, some):
            order = places[np.argsort(-row[places], kind="stable")]
            yield order, row[order]
