import numpy as np

from src.distributed.group import ALONE, Group
from src.evaluation import answered
from src.evaluation.answered import Answered, pixels_of
from src.model_info import Preprocessing

LOGITS = np.array([[0, 2, 1], [3, 0, 0], [0, 0, 5], [1, 1, 1], [0, 4, 0], [2, 0, 1], [0, 1, 9]], np.float32)
LABELS = np.array([1, 0, 1, 2, 0, 2, 2], np.int32)
EXPECTED = [[1, 0, 1, 2, 0, 2, 2], [1, 0, 2, 0, 1, 0, 2], [0, 0, 2, 2, 1, 1, 0]]  # labels, guesses, places of the labels


def test_answers_say_what_came_first_where_the_label_came_and_how_sure_that_was():
    found = Answered()
    found.add(LOGITS[:4], LABELS[:4])
    found.add(LOGITS[4:], LABELS[4:])
    columns = found.gathered(7, ALONE)
    assert columns[:3].tolist() == EXPECTED
    softmax = np.exp(LOGITS.astype(float)) / np.exp(LOGITS.astype(float)).sum(1, keepdims=True)
    np.testing.assert_allclose(columns[3], softmax.max(1), rtol=1e-12)


def test_answers_of_several_processes_are_in_the_order_of_the_data_set(monkeypatch):
    for size in (2, 3, 9):  # of nine processes two have no image
        parts = []
        monkeypatch.setattr(answered, "all_gather", lambda own, _, parts=parts: parts.append(own) or own[None])
        for rank in range(size):
            found = Answered()
            if rank < len(LABELS):
                found.add(LOGITS[rank::size], LABELS[rank::size])
            found.gathered(7, Group(rank, size))
        monkeypatch.setattr(answered, "all_gather", lambda own, _, parts=parts: np.stack(parts))
        assert Answered().gathered(7, Group(0, size))[:3].tolist() == EXPECTED


def test_pixels_come_back_from_what_the_network_gets():
    preprocessing = Preprocessing(image_size=(2, 3), resize=3, resize_mode="square", antialias=False,
                                  mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))  # fmt: skip
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, 3, 3), np.uint8)
    normalized = (pixels / 255 - preprocessing.mean) / preprocessing.std
    images = normalized.transpose(0, 3, 1, 2).astype(np.float32)
    assert np.array_equal(pixels_of(images, preprocessing), pixels)


def test_gray_pixels_come_back_as_rgb():
    preprocessing = Preprocessing(
        image_size=(2, 3), resize=3, resize_mode="square", antialias=False, mean=(0.5,), std=(0.25,)
    )
    pixels = np.random.default_rng(1).integers(0, 256, (2, 2, 3, 1), np.uint8)
    images = ((pixels / 255 - 0.5) / 0.25).transpose(0, 3, 1, 2).astype(np.float32)
    assert np.array_equal(pixels_of(images, preprocessing), np.repeat(pixels, 3, axis=3))
