import numpy as np
import pytest

from src.errors import UserError
from src.evaluation.metrics import Counts, class_results, label_ranks, macro_averages, widened


def test_ranks_equal_those_of_sorting():
    generator = np.random.default_rng(0)
    logits = generator.integers(0, 4, (200, 10)).astype(np.float32)  # many equal ones
    labels = generator.integers(0, 10, 200)
    order = np.argsort(-logits, axis=1, kind="stable")
    assert (label_ranks(logits, labels) == [list(row).index(label) for row, label in zip(order, labels)]).all()


def test_equal_logits_do_not_count_as_right_for_every_class():
    counts = Counts()
    counts.add(np.zeros((10, 10), np.float32), np.arange(10))
    assert (counts.images, counts.top1, counts.top5) == (10, 1, 5)


def test_fewer_than_five_classes():
    counts = Counts()
    counts.add(np.array([[1, 2, 3]], np.float32), np.array([0]))
    assert (counts.top1, counts.top5) == (0, 1)


def test_logits_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="NaN or Inf"):
        Counts().add(np.array([[np.nan, 1]], np.float32), np.array([0]))


def test_results_of_each_class_and_their_means_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(1)
    labels = generator.choice(6, 300, p=[0.6, 0.2, 0.1, 0.06, 0.04, 0])
    logits = generator.normal(0, 1, (300, 6)).astype(np.float32)
    logits[:, 3] -= 9  # never first
    logits[np.arange(300), labels] += 1
    counts = Counts()
    for batch in np.array_split(np.arange(300), 7):
        counts.add(logits[batch], labels[batch])
    found, average = {"labels": np.unique(labels), "zero_division": 0}, {"average": "macro"}
    expected = metrics.precision_recall_fscore_support(labels, logits.argmax(1), **found, **average)[:3]
    means = macro_averages(counts.by_class)
    assert [means[f"macro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected)
    rows = class_results(counts.by_class, tuple("abcdef"))
    assert [row["class"] for row in rows] == list("abcde") and rows[3]["predicted"] == 0
    assert [row["images"] for row in rows] == np.bincount(labels)[:5].tolist()
    assert (
        sum(row["top1_correct"] for row in rows) == counts.top1 and sum(row["top5_correct"] for row in rows) == counts.top5
    )
    assert [row["class"] for row in class_results(counts.by_class, ())] == list("01234")
    assert (widened(np.zeros((4, 0), np.int64), 6) + counts.by_class == counts.by_class).all()
