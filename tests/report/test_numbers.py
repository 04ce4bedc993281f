"""What the page computes from the answers, against counting by hand."""

import numpy as np
import pytest

from src.errors import UserError
from src.report import answers as answer_file
from src.report import numbers
from src.report.answers import Answers, Picture


def made(labels: list, guesses: list, confidences: list, classes: int = 3, **more) -> Answers:
    """Answers whose labels come second where they do not come first."""
    ranks = [int(label != guess) for label, guess in zip(labels, guesses)]
    columns = (np.array(values, np.int32) for values in (labels, guesses, ranks))
    return Answers(*columns, np.array(confidences, np.float32), classes, **more)


ANSWERS = made([0, 0, 0, 2, 2, 2], [0, 1, 1, 2, 0, 2], [0.9, 0.8, 0.95, 0.5, 0.7, 0.6])


def test_accuracy_and_confusion_by_class():
    assert numbers.by_class(ANSWERS) == [(0, 3, 1, 3), (2, 3, 2, 3)]  # class 1 has no images
    assert numbers.confusion(ANSWERS).tolist() == [[1, 2, 0], [0, 0, 0], [1, 0, 2]]


def test_the_worst_pairs_come_with_images_of_both_classes_the_surest_first():
    first, second = numbers.worst_pairs(ANSWERS)
    assert first == (0, 1, 2, 3, [2, 1], [0], [])
    assert second == (2, 0, 1, 3, [4], [5, 3], [0])


def test_pictures_are_of_the_surest_mistakes_and_the_least_sure_hits():
    assert numbers.surest_mistakes(ANSWERS) == [2, 1, 4] and numbers.unsurest_hits(ANSWERS) == [3, 5, 0]
    assert numbers.pictured(ANSWERS) == ([2, 1, 4, 3, 5, 0], [])
    many = made([0] * 30, [0] * 15 + [1] * 15, np.linspace(0.1, 0.9, 30).tolist(), classes=21)
    explained, plain = numbers.pictured(many)
    assert explained == [*range(29, 17, -1), *range(12)] and plain == [13, 14]


def test_the_calibration_error_is_that_of_the_paper():
    # Two bins of 15: (13/15, 14/15] with 0.9, right half of the time, and (7/15, 8/15] with 0.5, always wrong.
    found = numbers.calibration(made([0, 0, 0], [0, 1, 1], [0.9, 0.9, 0.5]))
    assert found.images.tolist() == [1, 2] and found.accuracy.tolist() == [0.0, 0.5]
    assert found.error == pytest.approx((1 * 0.5 + 2 * 0.4) / 3, abs=1e-6)


def test_answers_come_back_from_their_file(tmp_path):
    names = ("a", "b\udcff", "<c>")
    written = made(
        [0, 1], [0, 2], [0.5, 1], class_names=names, result={"top1": 0.5}, pictures={1: Picture("x", b"12", b"3")}
    )
    answer_file.save(tmp_path / "answers.npz", written)
    found = answer_file.load(tmp_path / "answers.npz")
    assert found.class_names == names and found.result == {"top1": 0.5} and found.pictures == written.pictures
    for column in ("labels", "guesses", "ranks", "confidences"):
        assert np.array_equal(getattr(found, column), getattr(written, column))
    assert answer_file.load(tmp_path / "none.npz") is None


@pytest.mark.parametrize(
    "change",
    [
        lambda answers: {"labels": answers.labels + 3},
        lambda answers: {"guesses": answers.guesses[:1]},
        lambda answers: {"confidences": answers.confidences * np.nan},
        lambda answers: {"ranks": answers.ranks.astype(np.int64)},
        lambda answers: {"class_names": ("a",)},
        lambda answers: {"pictures": {9: Picture("x", b"12")}},
    ],
)
def test_answers_that_contradict_each_other_are_refused(tmp_path, change):
    answers = made([0, 1], [0, 2], [0.5, 1])
    answer_file.save(tmp_path / "answers.npz", Answers(**{**vars(answers), **change(answers)}))
    with pytest.raises(UserError, match="contradict each other"):
        answer_file.load(tmp_path / "answers.npz")


def test_damaged_answers_are_refused(tmp_path):
    file = tmp_path / "answers.npz"
    answer_file.save(file, made([0, 1], [0, 2], [0.5, 1]))
    content = bytearray(file.read_bytes())
    content[70] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="damaged; evaluate again"):
        answer_file.load(file)
