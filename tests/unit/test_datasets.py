"""Formats other than folders: CIFAR's files, synthetic images, and which of them a folder holds."""

import numpy as np
import pytest

from conftest import prepared_epoch
from src.config import build_config
from src.data.datasets import open_evaluation_data, open_training_data
from src.data.pipeline import eval_pipeline, read_batches
from src.data.preprocessing import preprocessing_from
from src.data.sources.cifar import index_cifar
from src.errors import UserError

AUGMENTED = {"image_size": "16,16", "per_batch_size": 4, "num_classes": 3, "auto_augment": "randaugment", "mixup_alpha": 0.2}


def write_cifar(root, kind="cifar10", per_file=6, names=True) -> dict:
    """Files in the published format, but short; returns file -> (labels, pixels (N, 32, 32, 3))."""
    generator, content = np.random.default_rng(0), {}
    files = ["train.bin", "test.bin"]
    if kind == "cifar10":
        files = [*[f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin"]
    classes = 10 if kind == "cifar10" else 100
    root.mkdir(parents=True, exist_ok=True)
    for file in files:
        labels = generator.integers(0, classes, per_file)
        pixels = generator.integers(0, 256, (per_file, 32, 32, 3), np.uint8)
        with open(root / file, "wb") as out:
            for label, image in zip(labels, pixels):
                out.write(bytes([label] if kind == "cifar10" else [label // 5, label]))
                for channel in range(3):
                    out.write(image[:, :, channel].tobytes())
        content[file] = (labels, pixels)
    if names:
        meta = "batches.meta.txt" if kind == "cifar10" else "fine_label_names.txt"
        (root / meta).write_text("".join(f"class{i:02}\n" for i in range(classes)) + "\n")
    return content


@pytest.mark.parametrize(("kind", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar_files_give_their_pixels_and_labels(tmp_path, kind, classes):
    content = write_cifar(tmp_path, kind)
    config = build_config({
        "data_dir": str(tmp_path), "num_classes": classes, "image_size": "32,32", "crop_padding": 4, "hflip_prob": 0,
        "color_jitter": 0, "mean": "0,0,0", "std": [1 / 255] * 3, "per_batch_size": 3,
    })  # fmt: skip
    train, val = open_training_data(config, 2)
    assert train.class_names[3] == "class03" and len(train.class_names) == classes
    assert len(train) == (30 if kind == "cifar10" else 6) and len(val) == 6
    for index, files in ((train, list(content)[:-1]), (val, list(content)[-1:])):
        labels, pixels = (np.concatenate(parts) for parts in zip(*[content[file] for file in files]))
        images, read_labels = map(np.concatenate, zip(*read_batches(eval_pipeline(index, preprocessing_from(config), 4, 2))))
        assert (images == pixels.transpose(0, 3, 1, 2)).all()  # 32 x 32 is neither resized nor cropped
        assert (index.labels == labels).all() and (read_labels == labels).all()
    assert train.name(0) == list(content)[0] + ":0" and train.name(len(train) - 1).endswith(":5")
    images, _ = prepared_epoch(train, config)[0]
    assert images.shape == (3, 3, 32, 32)
    assert open_evaluation_data(config, 1).fingerprint == index_cifar(tmp_path, kind, "val").fingerprint


def test_cifars_fingerprint_follows_its_content(tmp_path):
    write_cifar(tmp_path)
    before = index_cifar(tmp_path, "cifar10", "train").fingerprint
    content = bytearray((tmp_path / "data_batch_3.bin").read_bytes())
    content[500] ^= 1
    (tmp_path / "data_batch_3.bin").write_bytes(content)
    assert index_cifar(tmp_path, "cifar10", "train").fingerprint != before


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda root: (root / "data_batch_4.bin").unlink(), "lacks data_batch_4.bin"),
        (lambda root: (root / "data_batch_2.bin").write_bytes(b"x" * 3000), "data_batch_2.bin: 3000 bytes.* 3073"),
        (lambda root: (root / "data_batch_2.bin").write_bytes(b""), "data_batch_2.bin: 0 bytes"),
        (lambda root: (root / "data_batch_5.bin").write_bytes(b"\x0c" * 3073), "data_batch_5.bin:0: label 12"),
        (lambda root: (root / "batches.meta.txt").write_text("a\nb\n"), "batches.meta.txt: 2 class names; expected 10"),
    ],
)
def test_wrong_cifar_files_are_refused(tmp_path, spoil, part):
    write_cifar(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UserError, match=part):
        index_cifar(tmp_path, "cifar10", "train")


def test_cifar_without_class_names_has_numbers(tmp_path):
    write_cifar(tmp_path, names=False)
    assert index_cifar(tmp_path, "cifar10", "val").class_names == tuple("0123456789")


def test_synthetic_images(caplog):
    config = build_config({**AUGMENTED, "dataset": "synthetic", "synthetic_images": 100, "seed": 3})
    train, val = open_training_data(config, 1)
    assert len(train) == len(val) == 100 and train.images.kind == "synthetic" and set(train.labels) == {0, 1, 2}
    images, labels = prepared_epoch(train, config)[0]
    assert images.shape == (4, 3, 16, 16) and labels.shape == (4, 3)
    assert train.fingerprint == open_training_data(config, 1)[0].fingerprint
    other = build_config({**AUGMENTED, "dataset": "synthetic", "synthetic_images": 100, "seed": 4})
    assert train.fingerprint != open_training_data(other, 1)[0].fingerprint


def test_the_format_can_be_said(tmp_path, data_set):
    write_cifar(data_set / "train")  # CIFAR files in a folder that is to be read as class folders
    common = {"data_dir": str(data_set / "train"), "num_classes": 3, "cache_dir": str(tmp_path / "cache")}
    assert len(open_training_data(build_config({**common, "dataset": "folder"}), 1)[0]) == 18
    with pytest.raises(UserError, match="manifest.json: missing"):
        open_training_data(build_config({**common, "dataset": "mindrecord"}), 1)
    with pytest.raises(UserError, match="lacks train.bin of the binary version of cifar100"):
        open_training_data(build_config({**common, "dataset": "cifar100"}), 1)
    with pytest.raises(UserError, match="num_classes: 3, but .* has 10 classes; pass --num_classes 10"):
        open_training_data(build_config(common), 1)
