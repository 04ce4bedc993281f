"""What the answers of an evaluation say: accuracy by class, confused classes, calibration, which images to look at."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .answers import Answers

LARGEST_MATRIX = 20  # classes
_BINS = 15  # Guo et al. 2017, arXiv 1706.04599, section 2
_SHOWN = 12  # pictures of a kind
_PAIRS, _PAIR_PICTURES = 8, 2


class ClassAccuracy(NamedTuple):
    """How a class fares: number, images, and of these how many had it first, and among the first five."""

    number: int
    images: int
    top1: int
    top5: int


class Pair(NamedTuple):
    """Images of one class taken for another: how many, which, and which ones of either class were recognized."""

    label: int
    guess: int
    times: int
    images: int  # of the class
    mistaken: list[int]
    right_label: list[int]
    right_guess: list[int]


class Calibration(NamedTuple):
    """Confidence against accuracy in bins of equal width; `error` is the expected calibration error, a share.

    Attributes:
        confidence, accuracy: means per bin that has images.
        images: per such bin.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    images: NDArray[np.int64]
    error: float


def by_class(answers: Answers) -> list[ClassAccuracy]:
    """Every class that has images, by its number."""
    counts = [
        np.bincount(answers.labels[chosen], minlength=answers.num_classes)
        for chosen in (slice(None), answers.ranks < 1, answers.ranks < 5)
    ]
    return [ClassAccuracy(int(number), *(int(count[number]) for count in counts)) for number in np.flatnonzero(counts[0])]


def confusion(answers: Answers) -> NDArray[np.int64]:
    """Images by class (rows) and by what they were taken for (columns)."""
    matrix = np.zeros((answers.num_classes, answers.num_classes), np.int64)
    np.add.at(matrix, (answers.labels, answers.guesses), 1)
    return matrix


def worst_pairs(answers: Answers) -> list[Pair]:
    """The most frequent confusions, the most frequent first; of equal ones those of lower class numbers."""
    wrong = np.flatnonzero(answers.ranks > 0)
    both = answers.labels[wrong].astype(np.int64) * answers.num_classes + answers.guesses[wrong]
    keys, counts = np.unique(both, return_counts=True)
    pairs = []
    for place in np.argsort(-counts, kind="stable")[:_PAIRS]:
        label, guess = divmod(int(keys[place]), answers.num_classes)
        right = [_surest(answers, (answers.labels == number) & (answers.ranks == 0)) for number in (label, guess)]
        mistaken = _surest(answers, (answers.labels == label) & (answers.guesses == guess))
        pairs.append(Pair(label, guess, int(counts[place]), int((answers.labels == label).sum()), mistaken, *right))
    return pairs


def _surest(answers: Answers, chosen: NDArray[np.bool_]) -> list[int]:
    positions = np.flatnonzero(chosen)
    order = np.argsort(-answers.confidences[positions], kind="stable")[:_PAIR_PICTURES]
    return positions[order].tolist()


def calibration(answers: Answers) -> Calibration:
    """Reference: Guo et al. 2017, arXiv 1706.04599, equations 2 and 3."""
    confidences = answers.confidences.astype(np.float64)
    bins = np.clip(np.ceil(confidences * _BINS).astype(int) - 1, 0, _BINS - 1)  # (0, 1/15], (1/15, 2/15], ...
    images = np.bincount(bins, minlength=_BINS)
    used = images > 0
    confidence = np.bincount(bins, confidences, _BINS)[used] / images[used]
    accuracy = np.bincount(bins, answers.ranks == 0, _BINS)[used] / images[used]
    error = float((images[used] * np.abs(confidence - accuracy)).sum() / len(answers))
    return Calibration(confidence, accuracy, images[used], error)


def surest_mistakes(answers: Answers) -> list[int]:
    """Positions of the most confident mistakes, the most confident first."""
    wrong = np.flatnonzero(answers.ranks > 0)
    return wrong[np.argsort(-answers.confidences[wrong], kind="stable")[:_SHOWN]].tolist()


def unsurest_hits(answers: Answers) -> list[int]:
    """Positions of the least confident hits, the least confident first."""
    right = np.flatnonzero(answers.ranks == 0)
    return right[np.argsort(answers.confidences[right], kind="stable")[:_SHOWN]].tolist()


def pictured(answers: Answers) -> tuple[list[int], list[int]]:
    """Positions of the images whose pictures the page shows, with and without a heat map."""
    explained = surest_mistakes(answers) + unsurest_hits(answers)
    pairs = worst_pairs(answers) if answers.num_classes > LARGEST_MATRIX else []
    plain = [place for pair in pairs for place in (*pair.mistaken, *pair.right_label, *pair.right_guess)]
    return explained, sorted(set(plain) - set(explained))
