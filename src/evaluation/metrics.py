"""Exact accuracy counts, in all and of every class."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError


@dataclass
class Counts:
    """Images seen, and how many had their label first or among the first five.

    Attributes:
        by_class: the same of the images of each class, and how many images of any class had this one first, int64
            (4, classes); (4, 0) before the first batch.
    """

    images: int = 0
    top1: int = 0
    top5: int = 0
    by_class: NDArray[np.int64] = field(default_factory=lambda: np.zeros((4, 0), np.int64))

    def add(self, logits: NDArray[np.float32], labels: NDArray[np.int32]) -> None:
        """Counts a batch: logits float32 (N, classes), labels int (N,). Raises UserError for logits that are not finite."""
        ranks = label_ranks(logits, labels)
        self.images += len(labels)
        self.top1 += int((ranks < 1).sum())
        self.top5 += int((ranks < 5).sum())
        classes = logits.shape[1]
        counted = (labels, labels[ranks < 1], labels[ranks < 5], logits.argmax(1))
        self.by_class = widened(self.by_class, classes) + [np.bincount(part, minlength=classes) for part in counted]


def widened(by_class: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts (4, fewer classes) -> (4, classes)."""
    return np.pad(by_class, ((0, 0), (0, classes - by_class.shape[1])))


def class_results(by_class: NDArray[np.int64], class_names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The counts of every class that has images, as JSON. `class_names`: empty where there are only numbers."""
    names = class_names or tuple(map(str, range(by_class.shape[1])))
    keys = ("images", "top1_correct", "top5_correct", "predicted")
    rows = zip(names, by_class.T.tolist())
    return [{"class": name, **dict(zip(keys, counts))} for name, counts in rows if counts[0]]


def macro_averages(by_class: NDArray[np.int64]) -> dict[str, float]:
    """The means over all classes that have images of recall, precision and their harmonic mean, F1.

    A class that never came first has precision 0, as in scikit-learn's `precision_recall_fscore_support`.
    """
    images, correct, _, predicted = by_class[:, by_class[0] > 0]
    found = {
        "macro_recall": correct / images,
        "macro_precision": correct / np.maximum(predicted, 1),
        "macro_f1": 2 * correct / (images + predicted),
    }
    return {name: float(values.mean()) for name, values in found.items()}


def label_ranks(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Place of each image's label, from 0, when classes are sorted by falling logit; of equal ones the first wins."""
    if not np.isfinite(logits).all():
        raise UserError("the network's output holds NaN or Inf; its weights are unusable")
    rows = np.arange(len(labels))
    own = logits[rows, labels][:, None]
    before = np.arange(logits.shape[1])[None, :] < labels[:, None]
    return (logits > own).sum(1) + ((logits == own) & before).sum(1)
