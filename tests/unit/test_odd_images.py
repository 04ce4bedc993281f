"""The same verdict on the same files everywhere, and the same pixels."""

import io
import json
import os
import resource

import numpy as np
import pytest
from odd_images import odd_images
from PIL import Image

import preprocess as preprocess_command
from conftest import CLASSES, prepared_epoch
from src.config import build_config
from src.data import image_formats, image_headers
from src.data.pipeline import eval_pipeline, read_batches
from src.data.scan import find_problems, usable_images
from src.data.sources.folder import index_folder
from src.errors import UserError
from src.model_info import Preprocessing

FILES = {odd.name: odd for odd in odd_images()}
USABLE = sorted(name for name, odd in FILES.items() if odd.reason is None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All files, in the class folder "odd". Not to be changed."""
    root = tmp_path_factory.mktemp("odd")
    (root / "odd").mkdir()
    for name, odd in FILES.items():
        (root / "odd" / name).write_bytes(odd.content)
    return root


@pytest.fixture(scope="module")
def usable(folder, tmp_path_factory):
    """The index of those that a full scan leaves."""
    return usable_images(index_folder(folder), "full", "skip", tmp_path_factory.mktemp("cache"), 1)


def test_the_scan_passes_what_the_list_says_and_gives_its_reasons(folder, tmp_path):
    assert len(FILES) > 150 and len(USABLE) > 100
    index = index_folder(folder)
    problems = {
        kind: {index.name(i).partition(os.sep)[2]: text for i, text in find_problems(index, kind, tmp_path, 1).items()}
        for kind in ("full", "headers")
    }
    assert set(problems["full"]) == {name for name, odd in FILES.items() if odd.reason is not None}
    assert set(problems["headers"]) == {name for name, odd in FILES.items() if odd.reason is not None and not odd.in_data}
    for name, problem in problems["full"].items():
        assert FILES[name].reason in problem


def test_pillow_opens_every_header_that_is_taken_for_plain():
    seeds = [odd.content for odd in FILES.values() if image_headers.is_plain_jpeg(odd.content)]
    assert len(seeds) > 20
    random = np.random.default_rng(0)
    plain, odd = 0, np.frombuffer(b"\x00\x01\x11\xc0\xc4\xda\xdb\xe1\xff", np.uint8)
    for content in seeds * 100:
        changed = bytearray(content[: 16 << 10])
        for place in random.integers(2, changed.index(b"\xff\xda") + 14, random.integers(1, 3)):
            replaced = random.integers(0, 3)
            changed[place : place + replaced] = bytes(random.choice(odd, replaced or 1))
        if image_headers.is_plain_jpeg(bytes(changed)):
            plain += 1
            with Image.open(io.BytesIO(changed), formats=["JPEG"]) as image:
                image_headers.check_size(*image.size)
    assert 200 < plain < len(seeds) * 100


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", sorted(FILES))
def test_reading_and_decoding_agree_with_the_scan(name):
    odd = FILES[name]
    for read in (image_formats.decode, image_formats.for_mindspore):
        if odd.reason is None:
            read(odd.content)
        elif read is image_formats.decode or not odd.in_data:
            with pytest.raises(image_formats.ImageError):
                read(odd.content)


def pixels_of(index, antialias: bool) -> np.ndarray:
    preprocessing = Preprocessing(
        image_size=(24, 24), resize=24, resize_mode="square", antialias=antialias, mean=(0.0,) * 3, std=(1 / 255,) * 3
    )
    batches = read_batches(eval_pipeline(index, preprocessing, 16, 2))
    return np.concatenate([images for images, _ in batches]).round().transpose(0, 2, 3, 1)


def test_both_decoders_give_the_pixels_as_they_are_stored(usable):
    from mindspore.dataset import vision

    assert [name.partition(os.sep)[2] for name in usable.files] == USABLE
    for name in USABLE:
        expected = np.asarray(image_formats.decode(FILES[name].content))
        found = vision.Decode()(np.frombuffer(image_formats.for_mindspore(FILES[name].content), np.uint8))
        assert found.shape == expected.shape and (found == expected).all(), name


def test_orientation_is_ignored_in_every_format():
    for name in USABLE:
        if name.startswith("turned"):
            ending = name.partition(".")[2]
            plain = FILES["lossy.webp" if ending == "webp" else f"plain.{ending}"]
            turned, straight = (np.asarray(image_formats.decode(odd.content)) for odd in (FILES[name], plain))
            assert turned.shape == straight.shape and (turned == straight).all(), name


def test_evaluation_and_training_read_all_of_them(usable):
    for antialias in (False, True):
        images = pixels_of(usable, antialias)
        assert len(images) == len(USABLE) and images.dtype == np.float32
    config = build_config({"image_size": "16,16", "per_batch_size": len(USABLE), "num_classes": 3})
    (images, labels), *_ = prepared_epoch(usable, config)
    assert images.shape == (len(USABLE), 3, 16, 16) and set(labels) == {0}


def test_offline_files_are_those_of_evaluation(folder, usable, tmp_path, command):
    """The command leaves out the same files; resized to a square, its pixels are those of `eval_pipeline`."""
    bins = tmp_path / "bins"
    code, _, err = command(
        preprocess_command.main, "--data_dir", folder, "--bin_dir", bins, "--image_size", "24,24", "--eval_resize", 24,
        "--eval_resize_mode", "square", "--mean", "0,0,0", "--std", ",".join([str(1 / 255)] * 3), "--bad_images", "skip",
        "--cache_dir", tmp_path / "cache", "--platform", "CPU",
    )  # fmt: skip
    assert code == 0, err
    files = json.loads((tmp_path / "bins.meta.json").read_text())["files"]
    by_file = {file: np.fromfile(bins / name, np.float32).reshape(3, 24, 24) for name, file in files.items()}
    assert sorted(by_file) == sorted(usable.files)
    expected = pixels_of(usable, antialias=False).transpose(0, 3, 1, 2)
    for file, image in zip(usable.files, expected):
        assert (by_file[file].round() == image).all(), file


def test_an_eps_starts_no_program(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *arguments, **options: started.append(arguments))
    (tmp_path / "a.jpg").write_bytes(FILES["holiday.jpg"].content)
    assert "PostScript" in image_formats.find_problem(str(tmp_path / "a.jpg"), whole=True) and started == []


@pytest.mark.parametrize("scan", ["full", "off"])
def test_only_regular_files_are_opened(data_set, tmp_path, scan):
    os.mkfifo(data_set / "train" / "red" / "pipe.png")
    (data_set / "train" / "red" / "null.jpg").symlink_to("/dev/zero")
    index = index_folder(data_set / "train")
    with pytest.raises(UserError, match="is not a regular file"):
        usable_images(index, scan, "stop", tmp_path, 1)
        for row in range(len(index)):
            index.read(row)


def test_a_file_may_not_be_larger_than_half_a_gigabyte(tmp_path):
    with open(tmp_path / "a.jpg", "wb") as file:
        file.truncate(image_formats.MOST_BYTES + 1)
    assert "at most 536870912" in image_formats.find_problem(str(tmp_path / "a.jpg"), whole=False)


def test_ordinary_files_reach_mindspore_as_they_are(data_set):
    index = index_folder(data_set / "train")
    for position in range(len(index)):
        assert index.read(position).tobytes() == index.path(position).read_bytes()


def test_a_failing_read_in_training_names_the_file(data_set, tmp_path, refused):
    import train

    (data_set / "train" / "red" / "odd.webp").write_bytes(FILES["animated.webp"].content)
    line = refused(
        train.main, "--data_dir", data_set, "--ckpt_path", tmp_path / "run", "--cache_dir", tmp_path / "cache",
        "--scan", "off", "--backbone", "resnext11_8x16d", "--num_classes", len(CLASSES), "--image_size", "16,16",
        "--platform", "CPU", "--per_batch_size", 19,
    )  # fmt: skip
    assert "odd.webp" in line and "animation" in line


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(65_500, 1), (1, 65_499), (30_001, 2)])
def test_long_and_narrow_images_take_little_memory(tmp_path, size, antialias):
    """The whole of the first would become 13 GB. Its middle is white, and so is the crop."""
    width, height = size
    x = np.arange(max(size))
    line = np.where(np.abs(x - (len(x) - 1) / 2) <= 0.5 * min(size), 255, 60).astype(np.uint8)
    pixels = np.tile(line[None], (height, 1)) if width > height else np.tile(line[:, None], (1, width))
    (tmp_path / "c").mkdir()
    Image.fromarray(pixels).save(tmp_path / "c" / "a.png")
    preprocessing = Preprocessing(
        image_size=(24, 24), resize=256, resize_mode="shorter", antialias=antialias, mean=(0.0,) * 3, std=(1 / 255,) * 3
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ((images, _),) = read_batches(eval_pipeline(index_folder(tmp_path), preprocessing, 1, 1))
    assert images.shape == (1, 3, 24, 24) and images.min() > 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000  # KB
