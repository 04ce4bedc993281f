"""Exact accuracy counts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError


@dataclass
class Counts:
    """Images seen, and how many had their label first or among the first five."""

    images: int = 0
    top1: int = 0
    top5: int = 0

    def add(self, logits: NDArray[np.float32], labels: NDArray[np.int32]) -> None:
        """Counts a batch: logits float32 (N, classes), labels int (N,). Raises UserError for logits that are not finite."""
        ranks = label_ranks(logits, labels)
        self.images += len(labels)
        self.top1 += int((ranks < 1).sum())
        self.top5 += int((ranks < 5).sum())


def label_ranks(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Place of each image's label, from 0, when classes are sorted by falling logit; of equal ones the first wins."""
    if not np.isfinite(logits).all():
        raise UserError("the network's output holds NaN or Inf; its weights are unusable")
    rows = np.arange(len(labels))
    own = logits[rows, labels][:, None]
    before = np.arange(logits.shape[1])[None, :] < labels[:, None]
    return (logits > own).sum(1) + ((logits == own) & before).sum(1)
