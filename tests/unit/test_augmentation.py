from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from PIL import Image

from conftest import prepared_epoch, write_image
from src.config import build_config
from src.data.augmentation import BatchDraws, box_to_erase, mixing_of, mixing_parameters
from src.data.sources.folder import index_folder
from src.errors import UserError
from src.training.batches import Erase, Mix

REFERENCE = Path(__file__).resolve().parents[1] / "parity" / "mixing_reference.npz"
PLAIN = {  # pixels 0..255 as they are, whole images, no randomness
    "image_size": "16,16", "per_batch_size": 2, "crop_scale": "1,1", "crop_ratio": "1,1", "hflip_prob": 0, "color_jitter": 0,
    "mean": "0,0,0", "std": [1 / 255] * 3, "num_classes": 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("augmentation")
    for i in range(6):
        write_image(root / str(i % 3) / f"{i}.png", i % 3, i, (16, 16))
    return index_folder(root)


def epoch(index, workers=2, number=0, **values) -> tuple:
    config = build_config({**PLAIN, **values})
    return tuple(map(np.concatenate, zip(*prepared_epoch(index, config, number, workers))))


@pytest.mark.parametrize("larger", [0, 3])  # than the images: the largest of a run whose crops grow
def test_mixing_equals_timms(larger):
    reference = np.load(REFERENCE)
    images, labels = reference["images"], reference["labels"].astype(np.int32)
    size = images.shape[2:]
    mix = Mix(len(images), (size[0] + larger, size[1] + larger), 5)
    kinds = set()
    for i in range(12):
        box = tuple(reference[f"{i}.box"])
        kinds.add(bool(box))
        mixing = mixing_of(float(reference[f"{i}.share"]), box or None, size)
        for tensor, name in zip(mix(*map(ms.Tensor, (images, labels, mixing))), ("images", "targets")):
            ours = tensor.asnumpy()
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, reference[f"{i}.{name}"], atol=1e-6)
    assert kinds == {True, False}


class Drawn:
    """A generator that gives what was drawn before."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def random(self):
        return self.numbers.pop(0)

    def beta(self, a, b):
        assert a == b == 1.0
        return self.numbers.pop(0)

    def integers(self, high):
        assert high in (20, 40)
        return self.numbers.pop(0)


def test_a_cutmix_box_covers_one_minus_the_share_and_is_cut_at_the_border():
    config = build_config({"cutmix_alpha": 1})
    assert mixing_parameters(Drawn(0.5, 0.9, 0.75, 10, 20), config, (20, 40)) == (0.75, (5, 15, 10, 30))
    assert mixing_parameters(Drawn(0.5, 0.9, 0.75, 0, 39), config, (20, 40)) == (0.75, (0, 5, 29, 40))


def test_how_often_batches_are_mixed_and_by_which_method():
    def shares(**values):
        config, generator = build_config(values), np.random.default_rng(0)
        drawn = [mixing_parameters(generator, config, (16, 16)) for _ in range(4000)]
        return (
            np.mean([share == 1 for share, _ in drawn]), np.mean([box is not None for _, box in drawn]),
            np.var([share for share, _ in drawn]),
        )  # fmt: skip

    untouched, by_cutmix, _ = shares(mixup_alpha=0.2, cutmix_alpha=1, mixup_prob=0.8, mixup_switch_prob=0.25)
    assert untouched == pytest.approx(0.2, abs=0.03) and by_cutmix == pytest.approx(0.2, abs=0.03)
    assert shares(mixup_alpha=0.2)[1] == 0 and shares(cutmix_alpha=0.2)[1] == 1
    for alpha in (0.2, 1.0):
        assert shares(mixup_alpha=alpha)[2] == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)  # of Beta(alpha, alpha)


def test_mixed_labels_follow_the_pixels(tmp_path):
    for i in range(3):  # image i is 1 in channel i and 0 elsewhere: a pixel's channels are its label
        (tmp_path / "d" / str(i)).mkdir(parents=True)
        for copy in range(4):
            Image.fromarray(np.full((16, 16, 3), 255 * np.eye(3, dtype=np.uint8)[i])).save(tmp_path / f"d/{i}/{copy}.png")
    flags = {"std": "1,1,1", "per_batch_size": 6}
    for method in ("mixup_alpha", "cutmix_alpha"):
        images, labels = epoch(index_folder(tmp_path / "d"), **flags, **{method: 1.0})
        assert labels.shape == (12, 3) and labels.dtype == np.float32 == images.dtype
        np.testing.assert_allclose(images.mean((2, 3)), labels, atol=1e-5)
        assert ((labels > 0.01) & (labels < 0.99)).any()


def test_without_mixing_labels_are_numbers(index):
    images, labels = epoch(index, random_erase_prob=1.0)
    assert labels.dtype == np.int32 and labels.shape == (6,)
    assert (images == 0).all(1).any((1, 2)).all()  # each has a black rectangle


def test_erased_rectangles_have_the_papers_sizes():
    generator, config = np.random.default_rng(0), build_config({"image_size": "64,64", "random_erase_prob": 0.6})
    areas, erased = [], 0
    boxes = np.array([box_to_erase(generator, config) or (0, 0, 0, 0) for _ in range(2000)], np.int32)
    ones = ms.Tensor(np.ones((2000, 3, 64, 64), np.float32))
    for image in Erase((64, 64))(ones, ms.Tensor(boxes)).asnumpy():
        hole = np.argwhere(image[0] == 0)
        if len(hole):
            erased += 1
            height, width = np.ptp(hole, axis=0) + 1
            assert height * width == len(hole) and (image == image[:1]).all()
            assert 0.25 < height / width < 4
            areas.append(len(hole) / 64**2)
    assert erased / 2000 == pytest.approx(0.6, abs=0.03)
    assert min(areas) > 0.015 and 0.3 < max(areas) < 0.345


def test_what_happens_to_a_batch_does_not_depend_on_the_number_of_threads(index):
    values = {"random_erase_prob": 0.5, "mixup_alpha": 0.5, "cutmix_alpha": 0.5}
    one, two, later = epoch(index, 1, **values), epoch(index, 2, **values), epoch(index, 2, 1, **values)
    assert all((a == b).all() for a, b in zip(one, two))
    assert (one[0] != later[0]).any()
    other_seed = BatchDraws(build_config({**PLAIN, **values, "seed": 2}), 0)
    first = BatchDraws(build_config({**PLAIN, **values}), 0)
    places = np.array([0, 1])
    assert (first(places)[1] != other_seed(places)[1]).any()


@pytest.mark.parametrize("policy", ["randaugment", "autoaugment", "autoaugment_cifar10", "trivialaugment"])
def test_automatic_policies_change_images_and_repeat(index, policy):
    plain, first, again, later = epoch(index), *[epoch(index, number=n, auto_augment=policy) for n in (0, 0, 1)]
    assert (plain[1] == first[1]).all()
    assert (plain[0] != first[0]).any((1, 2, 3)).sum() >= 2  # some operations do nothing to some images
    assert (first[0] == again[0]).all() and (first[0] != later[0]).any()


def test_randaugments_strength_and_number_of_operations(index):
    views = [
        epoch(index, auto_augment="randaugment", auto_augment_magnitude=magnitude, auto_augment_ops=operations)[0]
        for magnitude, operations in ((0, 1), (30, 1), (30, 3))
    ]
    change = [np.abs(view - epoch(index)[0]).mean() for view in views]
    assert change[0] < change[1] < change[2]


def test_crop_padding_gives_windows_of_the_padded_image(index):
    images, _ = epoch(index, crop_padding=4)
    plain, _ = epoch(index)
    places = set()
    for image, whole in zip(images, plain):
        padded = np.pad(whole, ((0, 0), (4, 4), (4, 4)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 16, 16))[0]
        found = np.argwhere((windows == image).all((2, 3, 4)))
        assert len(found) == 1
        places.add(tuple(found[0]))
    assert len(places) > 1


@pytest.mark.parametrize("crop", [{"crop_padding": 4}, {"crop_scale": "0.1,0.9"}])
def test_flips_do_not_follow_the_place_of_the_crop(tmp_path, crop):
    pixels = np.full((16, 16, 3), 200, np.uint8)
    pixels[..., 0], pixels[..., 1] = 8 + 10 * np.arange(16)[:, None], 8 + 10 * np.arange(16)
    (tmp_path / "d" / "c").mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / "d" / "c" / "a.png")
    one = index_folder(tmp_path / "d")
    many = one.select(np.zeros(600, int))
    images, _ = epoch(many, 1, per_batch_size=600, hflip_prob=0.5, **crop)
    center = images[:, :, 4:12, 4:12]  # symmetric, and never in the border
    flipped = center[:, 1, 0, 0] > center[:, 1, 0, -1]
    assert flipped.mean() == pytest.approx(0.5, abs=0.07)
    for place in (center[:, 0].mean((1, 2)), center[:, 1].mean((1, 2))):
        assert abs(np.corrcoef(flipped, place)[0, 1]) < 0.15
    epoch_without = epoch(one, 1, per_batch_size=1, hflip_prob=1)[0]
    assert (epoch_without[0] == pixels[:, ::-1].transpose(2, 0, 1)).all()


def test_the_interpolation_of_crops_takes_effect(index):
    views = [epoch(index, image_size="40,40", train_interpolation=kind)[0] for kind in ("bilinear", "bicubic")]
    views += [epoch(index, image_size="5,5", train_interpolation=kind)[0] for kind in ("bilinear", "area")]
    assert (views[0] != views[1]).any() and (views[2] != views[3]).any()
    np.testing.assert_allclose(views[3].mean(), epoch(index)[0].mean(), rtol=0.02)  # areas lose nothing


def test_repeated_images_come_in_different_views(index):
    images, labels = epoch(index, repeated_augment=2, crop_scale="0.3,0.9")
    pairs = images.reshape(3, 2, -1)
    assert (labels[::2] == labels[1::2]).all() and (pairs[:, 0] != pairs[:, 1]).any(1).all()


@pytest.mark.parametrize("key", ["mixup_alpha", "cutmix_alpha"])
def test_a_batch_of_one_cannot_be_mixed(key):
    with pytest.raises(UserError, match=f"{key}: 0.2 .* per_batch_size is 1"):
        build_config({key: 0.2, "per_batch_size": 1})
