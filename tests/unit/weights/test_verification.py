"""Comparison with torchvision's and timm's networks, where PyTorch is installed."""

import importlib.util

import numpy as np
import pytest
from cases import STATE, convert, draw, needs_torch, refusal, shapes_of
from peers import cadene
from torch_writer import write_state

from src.config import build_config
from src.formats.opening import load_classifier


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed here")
def test_verify_without_pytorch_is_one_line(tmp_path, refused):
    line = refusal(refused, write_state(tmp_path / "a.pth", STATE), "--verify")
    assert "--verify: torch and timm not installed here" in line


@pytest.fixture(scope="module")
def torch_files(tmp_path_factory) -> dict:
    """torchvision's ResNet-18 with 5 classes and drawn weights, saved in every form."""
    import torch
    from safetensors.torch import save_file

    from src.weights.verification import import_torchvision

    folder = tmp_path_factory.mktemp("torch")
    network = import_torchvision().models.resnet18(num_classes=5)
    drawn = draw({name: tuple(value.shape) for name, value in network.state_dict().items() if "num_batches" not in name})
    network.load_state_dict({**network.state_dict(), **{name: torch.from_numpy(value) for name, value in drawn.items()}})
    files = {name: folder / name for name in ("zip.pth", "legacy.pth", "a.safetensors")}
    torch.save(network.state_dict(), files["zip.pth"])
    torch.save({"model": network.state_dict(), "epoch": 3}, files["legacy.pth"], _use_new_zipfile_serialization=False)
    save_file(network.state_dict(), files["a.safetensors"])
    return {**files, "network": network.eval()}


@needs_torch
@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "a.safetensors"])
def test_logits_are_torchvisions(name, torch_files, tmp_path, command):
    import torch

    out, _ = convert(command, torch_files[name], tmp_path / "a.ckpt", "--verify", backbone="resnet18")
    assert "compared with torchvision" in out
    images = np.random.default_rng(1).standard_normal((2, 3, 64, 64), np.float32)
    ours = load_classifier(tmp_path / "a.ckpt", build_config({})).classify(images)
    with torch.inference_mode():
        theirs = torch_files["network"](torch.from_numpy(images)).numpy()
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@needs_torch
def test_verify_fails_where_logits_differ(torch_files, monkeypatch, refused):
    from src.weights import verification

    monkeypatch.setattr(verification, "LARGEST_DIFFERENCE", 0.0)
    line = refusal(refused, torch_files["zip.pth"], "--verify", backbone="resnet18")
    assert "logits differ by" in line and "torchvision" in line


@needs_torch
def test_verify_says_what_it_cannot_compare(tmp_path, refused, command):
    assert "neither torchvision nor timm has resnet20" in refusal(
        refused, write_state(tmp_path / "a.pth", STATE), "--verify"
    )


@needs_torch
def test_what_is_exported_loads_in_torchvision(torch_files, tmp_path, command):
    from safetensors.torch import load_file

    from src.weights.verification import import_torchvision

    convert(command, torch_files["zip.pth"], tmp_path / "a.ckpt", backbone="resnet18")
    convert(command, tmp_path / "a.ckpt", tmp_path / "b.safetensors", backbone="resnet18")
    network = import_torchvision().models.resnet18(num_classes=5)
    network.load_state_dict(load_file(tmp_path / "b.safetensors"), strict=True)
    for name, value in torch_files["network"].state_dict().items():
        assert (network.state_dict()[name] == value).all(), name


@needs_torch
def test_verify_does_not_compare_networks_that_pad_differently(tmp_path, refused):
    source = write_state(tmp_path / "a.pth", cadene(draw(shapes_of("seresnext50_32x4d", 2))))
    line = refusal(refused, source, "--verify", backbone="seresnext50_32x4d")
    assert "padding 'same_pools'" in line and "import it without --verify" in line
