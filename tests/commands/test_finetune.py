"""Weights from elsewhere, imported and fine-tuned on real color photographs, as a user would do it."""

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from sklearn.datasets import load_sample_images

import eval as evaluation
import train
from conftest import ROOT
from src import checkpoint
from src.models.create import create_model
from src.weights.__main__ import main as import_weights


def write_photos(root) -> None:
    """Pieces of scikit-learn's two photographs, one class each: root/{train,val}/{china,flower}/*.jpg."""
    generator = np.random.default_rng(0)
    for name, photo in zip(("china", "flower"), load_sample_images().images):
        for part, count in (("train", 12), ("val", 6)):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                top, left = generator.integers(0, (photo.shape[0] - 160, photo.shape[1] - 200))
                piece = Image.fromarray(photo[top : top + 160, left : left + 200])
                piece.save(root / part / name / f"{number}.jpg", quality=90)


@pytest.mark.slow
def test_imported_weights_are_fine_tuned_on_photographs(tmp_path, command):
    write_photos(tmp_path / "photos")
    network = create_model("resnet18")
    source = {p.name: p.asnumpy().copy() for p in network.get_parameters()}
    save_file(source, tmp_path / "source.safetensors")
    imported = tmp_path / "imported.ckpt"
    options = ["--backbone", "resnet18", "--source", tmp_path / "source.safetensors", "--output", imported]
    assert command(import_weights, *options)[0] == 0
    run = tmp_path / "run"
    code, out, err = command(
        train.main, "--config_path", ROOT / "configs" / "resnest50_finetune_1p.yaml", "--backbone", "resnet18",
        "--pretrained", imported, "--data_dir", tmp_path / "photos", "--num_classes", 2, "--image_size", "64,64",
        "--freeze", "layer2", "--drop_rate", 0.1, "--max_epoch", 2, "--warmup_epochs", 0, "--per_batch_size", 8,
        "--mixup_alpha", 0.2, "--auto_augment", "trivialaugment", "--ckpt_path", run, "--cache_dir", tmp_path / "cache",
        "--platform", "CPU",
    )  # fmt: skip
    assert code == 0, err
    assert "the classifier of 1000 classes is replaced by a new one of 2" in out
    trained = checkpoint.load(run / "last.ckpt").weights
    for name, value in source.items():
        kept = name.startswith(("conv1", "bn1", "layer1", "layer2"))
        assert name.startswith("fc") or (trained[name].asnumpy() == value).all() == kept, name
    code, out, _ = command(
        evaluation.main, "--data_dir", tmp_path / "photos" / "val", "--pretrained", run / "best.ckpt", "--platform", "CPU",
        "--cache_dir", tmp_path / "cache",
    )  # fmt: skip
    assert code == 0 and "tot=12," in out
