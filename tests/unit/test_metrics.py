import numpy as np
import pytest

from src.errors import UserError
from src.evaluation.metrics import Counts, label_ranks


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
