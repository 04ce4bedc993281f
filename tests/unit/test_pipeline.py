import json

import mindspore as ms
import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image

from conftest import prepared_epoch, write_image
from src.config import build_config
from src.data.image_formats import decode
from src.data.pipeline import PillowCrop, eval_pipeline, read_batches, train_pipeline
from src.data.preprocessing import covering_size, preprocessing_for, preprocessing_from
from src.data.sources.folder import index_folder
from src.distributed.group import Group
from src.errors import UserError
from src.formats.classifier import network_classifier
from src.model_info import Preprocessing
from src.models.create import create_model
from src.training.build import create_network, create_step

NEUTRAL = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}  # pixel values as they are


def evaluation_pixels(path, **values) -> np.ndarray:
    """Pixels that the network sees of one image, (H, W, 3)."""
    settings = {"image_size": (32, 32), "resize": 40, "resize_mode": "shorter", "antialias": False, **NEUTRAL, **values}
    index = index_folder(path.parent.parent)
    images, _ = next(read_batches(eval_pipeline(index, Preprocessing(**settings), 1, 1)))
    return images[0].transpose(1, 2, 0)


def test_every_image_comes_once_and_in_order_whatever_the_batch_size(data_set):
    index = index_folder(data_set / "val")
    preprocessing = preprocessing_from(build_config({"image_size": "16,16"}))
    passes = {}
    for batch_size in (1, 4, 15, 100):
        batches = list(read_batches(eval_pipeline(index, preprocessing, batch_size, 2)))
        images, labels = (np.concatenate(parts) for parts in zip(*batches))
        assert images.dtype == np.float32 and labels.dtype == np.int32
        assert (labels == index.labels).all()
        passes[batch_size] = images
    assert all((images == passes[1]).all() for images in passes.values())


def test_an_epoch_can_be_repeated_and_differs_from_the_next(data_set):
    index = index_folder(data_set / "train")
    config = build_config({"image_size": "16,16", "per_batch_size": 4})

    def epoch(number):
        images, labels = (np.concatenate(parts) for parts in zip(*prepared_epoch(index, config, number)))
        return images, labels

    first, again, second = epoch(0), epoch(0), epoch(1)
    assert first[0].shape == (16, 3, 16, 16)  # 18 images, the last incomplete batch is left out
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (first[1] != second[1]).any() and (first[0] != second[0]).any()


def test_the_crops_of_an_epoch_have_its_size(data_set):
    index = index_folder(data_set / "train")
    config = build_config({**EVERYTHING, "image_size": "32,16", "train_image_size": "16@0,24@2"})
    for number, size in ((0, (16, 8)), (1, (16, 8)), (2, (24, 12)), (9, (24, 12))):
        for images, _, boxes, mixing in read_batches(train_pipeline(index, config, number, 2)):
            assert images.shape[2:] == size == config.crop_size(number)
            assert (boxes[:, :2] <= size[0]).all() and (boxes[:, 2:] <= size[1]).all() and (mixing[2:4] <= size[0]).all()
    assert config.largest_crop == (24, 12) and preprocessing_from(config).image_size == (32, 16)
    assert build_config({"train_image_size": 176}).crop_size(5) == (176, 176)


EVERYTHING = {
    "image_size": "16,16", "per_batch_size": 2, "num_classes": 3, "auto_augment": "randaugment", "random_erase_prob": 0.5,
    "mixup_alpha": 0.2, "cutmix_alpha": 1.0, "repeated_augment": 2,
}  # fmt: skip


def read_epoch(index, config, **arguments) -> list:
    return prepared_epoch(index, config, epoch=1, **arguments)


@pytest.mark.parametrize("group", [Group(0, 1), Group(1, 2)])
def test_an_epoch_can_be_entered_at_any_step(data_set, group):
    index, config = index_folder(data_set / "train"), build_config(EVERYTHING)
    whole = read_epoch(index, config, group=group)
    assert len(whole) == 9 // group.size
    for first_step in (1, 3, len(whole) - 1):
        tail = read_epoch(index, config, first_step=first_step, group=group)
        assert len(tail) == len(whole) - first_step
        for (images, labels), (expected_images, expected_labels) in zip(tail, whole[first_step:]):
            assert (images == expected_images).all() and (labels == expected_labels).all()


def test_ranks_share_each_batch_and_augment_each_in_its_own_way(tmp_path):
    for i in range(24):  # gray levels tell the images apart, whatever the crop
        (tmp_path / "d" / "c").mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 20), 10 * i).save(tmp_path / "d" / "c" / f"{i:02}.png")
    index = index_folder(tmp_path / "d")
    plain = {"image_size": "8,8", "hflip_prob": 0, "color_jitter": 0, "mean": "0,0,0", "std": "1,1,1"}

    def levels(batch_size, group):
        batches = read_epoch(index, build_config({**plain, "per_batch_size": batch_size}), group=group)
        return [set((255 * images[:, 0, 0, 0]).round().astype(int)) for images, _ in batches]

    alone, parts = levels(9, Group()), [levels(3, Group(rank, 3)) for rank in range(3)]
    assert len(alone) == 2
    assert [set.union(*step) for step in zip(*parts)] == alone and all(len(part) == 3 for step in parts for part in step)
    one = index_folder(write_image(tmp_path / "e" / "c" / "a.png", 0, 1, (64, 64)).parent.parent)
    one = one.select(np.zeros(2, int))
    config = build_config({**plain, "per_batch_size": 1})
    views = [prepared_epoch(one, config, workers=1, group=Group(rank, 2))[0][0] for rank in range(2)]
    assert (views[0] != views[1]).any()


def test_evaluation_shards_hold_every_image_once(data_set):
    index = index_folder(data_set / "val")
    parts = [index.shard(Group(rank, 4)) for rank in range(4)]
    assert [len(part) for part in parts] == [4, 4, 4, 3]
    assert sorted(name for part in parts for name in part.files) == sorted(index.files)
    assert (parts[1].labels == index.labels[1::4]).all()


def test_normalization(tmp_path):
    path = tmp_path / "d" / "c" / "a.png"
    path.parent.mkdir(parents=True)
    Image.new("RGB", (50, 50), (255, 0, 51)).save(path)
    pixels = evaluation_pixels(path, mean=(0.5, 0.5, 0.5), std=(0.25, 0.5, 0.1))
    np.testing.assert_allclose(pixels[0, 0], [2, -1, -3], rtol=1e-5)


ERASED_AND_CUT = {"random_erase_prob": 1, "cutmix_alpha": 1, "color_jitter": 0}


@pytest.mark.parametrize("changes", [{}, {**EVERYTHING, "per_batch_size": 6}, ERASED_AND_CUT], ids=["plain", "all", "cut"])
def test_the_device_normalizes_as_the_host_does_bit_for_bit(data_set, changes):
    index = index_folder(data_set / "train")
    values = {"image_size": "24,16", "per_batch_size": 6, "num_classes": 3, **changes}
    on_host, on_device = (build_config({**values, "device_normalization": where}) for where in (0, 1))
    for config, kind in ((on_host, np.float32), (on_device, np.uint8)):
        assert next(read_batches(train_pipeline(index, config, 0, 2)))[0].dtype == kind
    batches = [prepared_epoch(index, config) for config in (on_host, on_device)]
    assert len(batches[0]) == len(batches[1]) > 1
    assert all(np.array_equal(a, b) for pair in zip(*batches) for a, b in zip(*pair))


def test_a_network_gives_the_same_logits_of_bytes_and_of_normalized_images_bit_for_bit(data_set):
    index, preprocessing = index_folder(data_set / "val"), preprocessing_from(build_config({"image_size": "32,32"}))
    network = create_model("resnext11_8x16d", 3).set_train(False)
    names = list(network.parameters_dict())
    classify = network_classifier(network, preprocessing)
    assert names == list(network.parameters_dict())
    ((normalized, _),) = read_batches(eval_pipeline(index, preprocessing, 100, 2))
    ((pixels, _),) = read_batches(eval_pipeline(index, preprocessing, 100, 2, as_bytes=True))
    assert pixels.dtype == np.uint8 and np.array_equal(classify(pixels), classify(normalized))


def test_training_on_bytes_gives_the_weights_of_training_on_floats_bit_for_bit(data_set):
    index, weights = index_folder(data_set / "train"), []
    for where in (0, 1):
        values = {"backbone": "resnext11_8x16d", "image_size": "16,16", "per_batch_size": 6, "num_classes": 3}
        config = build_config({**values, "device_normalization": where})
        ms.set_seed(1)
        network = create_network(config)
        step = create_step(network, np.full(9, 0.1, np.float32), config, "CPU").set_train()
        losses = [float(step(*map(ms.Tensor, batch))[0]) for batch in read_batches(train_pipeline(index, config, 0, 2))]
        assert len(losses) == 3
        weights.append([losses, *[parameter.asnumpy() for parameter in network.get_parameters()]])
    assert all(np.array_equal(a, b) for a, b in zip(*weights))


@pytest.mark.parametrize("size", [(60, 90), (100, 44), (200, 50)])
@pytest.mark.parametrize("mode", ["shorter", "square"])
def test_pillows_resize_equals_mindspores_use_of_it(tmp_path, size, mode):
    path = write_image(tmp_path / "d" / "c" / "a.png", 0, 3, size)
    image = Image.open(path)
    expected = vision.Resize(40 if mode == "shorter" else (40, 40), vision.Inter.BILINEAR)(image)
    width, height = expected.size
    left, top = round((width - 32) / 2), round((height - 32) / 2)
    expected = np.asarray(expected)[top : top + 32, left : left + 32]
    assert (evaluation_pixels(path, antialias=True, resize_mode=mode).round() == expected).all()


def test_the_two_resizes_differ_when_they_shrink(tmp_path):
    path = write_image(tmp_path / "d" / "c" / "a.png", 0, 3, (300, 200))
    assert np.abs(evaluation_pixels(path, antialias=True) - evaluation_pixels(path)).mean() > 1


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    "kind", ["CMYK.jpg", "L.jpg", "L.png", "P.png", "RGBA.png", "LA.png", "1.png", "I;16.png", "RGB.bmp"]
)
def test_every_kind_of_image_becomes_rgb(tmp_path, kind, antialias):
    mode, path = kind.split(".")[0], tmp_path / "d" / "c" / f"a.{kind.split('.')[1]}"
    path.parent.mkdir(parents=True)
    gray = np.tile(np.linspace(0, 255, 60).astype(np.uint8), (60, 1))
    if mode == "I;16":
        Image.fromarray(gray.astype(np.uint16) * 257).save(path)
    else:
        Image.fromarray(np.stack([gray] * 3, -1)).convert(mode).save(path)
    pixels = evaluation_pixels(path, antialias=antialias, resize=60)
    expected = np.asarray(decode(path.read_bytes()))[14:46, 14:46]
    assert np.abs(pixels - expected).max() <= 3  # Pillow and MindSpore may round CMYK differently
    assert pixels[0, 0, 0] < pixels[0, -1, 0]


def test_a_pillow_crop_has_the_asked_size_for_odd_images(tmp_path):
    crop = PillowCrop(Preprocessing(image_size=(32, 24), resize=33, resize_mode="shorter", antialias=True, **NEUTRAL))
    for size in ((1, 1), (7, 100), (33, 33)):
        path = write_image(tmp_path / "a.png", 0, 0, size)
        assert crop(np.fromfile(path, np.uint8)).shape == (32, 24, 3)


def test_preprocessing_travels_with_the_weights_unless_the_user_says_otherwise():
    stored = preprocessing_from(build_config({"image_size": "32,32", "mean": "0.1,0.2,0.3", "eval_antialias": 1}))
    assert preprocessing_for(build_config(), stored) == stored
    changed = preprocessing_for(build_config({"image_size": "64,64"}), stored)
    assert (changed.image_size, changed.resize, changed.mean, changed.antialias) == ((64, 64), 73, (0.1, 0.2, 0.3), True)
    assert preprocessing_from(build_config()).resize == 256
    assert preprocessing_from(build_config({"image_size": "32,32", "crop_padding": 4})).resize == 32


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("mode", ["shorter", "square"])
def test_a_crop_that_is_not_square_shows_seven_eighths_of_each_dimension(tmp_path, mode, antialias):
    y, x = np.mgrid[0:60, 0:140]
    for shape, name in (((60, 140), "a.png"), ((140, 60), "b.png")):
        path = tmp_path / name / "c" / name
        path.parent.mkdir(parents=True)
        image = np.stack([y, x, 0 * x], -1).astype(np.uint8)
        Image.fromarray(image if shape == (60, 140) else image.transpose(1, 0, 2)).save(path)
    config = build_config({"image_size": "24,56", "eval_resize_mode": mode, "eval_antialias": antialias})
    assert preprocessing_from(config).resize == (27, 64)
    values = {"image_size": (24, 56), "resize": (27, 64), "resize_mode": mode, "antialias": antialias}
    pixels = evaluation_pixels(tmp_path / "a.png" / "c" / "a.png", **values)
    assert pixels.shape == (24, 56, 3)
    for axis, length in ((0, 60), (1, 140)):
        low, high = pixels[:, :, axis].min(), pixels[:, :, axis].max()
        assert low == pytest.approx(length / 16, abs=2.5) and high == pytest.approx(length - 1 - length / 16, abs=2.5)
    upright = evaluation_pixels(tmp_path / "b.png" / "c" / "b.png", **values)  # the width fits, most of the height is lost
    assert upright[:, :, 0].max() - upright[:, :, 0].min() == pytest.approx(60 * 7 / 8, abs=3)
    seen = 23 * (140 / 27 if mode == "square" else 60 / 64)  # 23 steps between 24 pixels
    assert upright[:, :, 1].max() - upright[:, :, 1].min() == pytest.approx(seen, abs=3)


def test_the_size_before_a_crop_that_is_not_square():
    assert covering_size(60, 140, (27, 64)) == (27, 64) and covering_size(140, 60, (27, 64)) == (149, 64)
    assert covering_size(1, 65500, (256, 300)) == (256, 256 * 65500)
    for height, width in ((1, 1), (60, 140), (140, 60), (333, 500), (7, 1000)):
        scaled = covering_size(height, width, (27, 64))
        assert scaled[0] >= 27 and scaled[1] >= 64 and (scaled[0] == 27 or scaled[1] == 64)
    wide = preprocessing_from(build_config({"image_size": "24,56", "eval_resize": 70}))
    assert wide.resize == (30, 70)
    assert preprocessing_from(build_config({"image_size": "24,56", "crop_padding": 4})).resize == (24, 56)
    stored = preprocessing_from(build_config({"image_size": "24,56"}))
    assert preprocessing_for(build_config(), Preprocessing(**json.loads(json.dumps(stored.to_dict())))) == stored
    assert preprocessing_for(build_config({"eval_resize": 70}), stored).resize == (30, 70)
    assert preprocessing_for(build_config({"image_size": "32,32"}), stored).resize == 37
    older = stored.model_copy(update={"resize": 64})  # of a file that was written when there were no pairs
    assert preprocessing_for(build_config(), older).resize == 64
    with pytest.raises(UserError, match="eval_resize: 50 is smaller than the crop, image_size 24,56"):
        preprocessing_for(build_config({"eval_resize": 50, "image_size": "24,56"}), None)


def test_gray_images_are_pillows_luma_in_training_and_evaluation(tmp_path):
    path = write_image(tmp_path / "data/x/a.png", 1, seed=1, size=(20, 20))
    values = {"in_channels": 1, "image_size": "20,20", "eval_resize": 20, "mean": 0, "std": 1 / 255, "per_batch_size": 1}
    values |= {"crop_scale": "1,1", "crop_ratio": "1,1", "hflip_prob": 0, "color_jitter": 0}
    index, config = index_folder(tmp_path / "data"), build_config(values)
    luma = np.asarray(Image.open(path).convert("L"))
    for pipeline in (train_pipeline(index, config, 0, 1), eval_pipeline(index, preprocessing_from(config), 1, 1)):
        images, _ = next(read_batches(pipeline))
        assert images.shape == (1, 1, 20, 20) and (images[0, 0].round() == luma).all()
