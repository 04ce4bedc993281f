"""Weights for color become weights for gray images, and the other way round; names of ImageNet's classes."""

import numpy as np
import pytest
from cases import STATE, convert, draw, refusal, shapes_of, write_safetensors

from src import checkpoint
from src.config import build_config
from src.errors import UserError
from src.formats.opening import load_classifier
from src.models.create import create_model
from src.networks.imagenet import imagenet_classes
from src.training.build import create_network
from src.weights.channels import fit_channels

GRAY = np.random.default_rng(0).normal(size=(2, 1, 32, 32)).astype(np.float32)
COLOR = GRAY.repeat(3, 1)


@pytest.fixture
def source(tmp_path):
    return write_safetensors(tmp_path / "a.safetensors", {name: ("F32", values) for name, values in STATE.items()})


def assert_close(actual, expected) -> None:
    np.testing.assert_allclose(actual, expected, atol=1e-5 * np.abs(expected).max())


def logits(path, images, **keys):
    return load_classifier(path, build_config(keys)).classify(images)


def test_weights_for_color_see_in_a_gray_image_what_they_see_in_its_three_equal_channels(source, tmp_path, command):
    convert(command, source, tmp_path / "color.ckpt")
    out, _ = convert(command, source, tmp_path / "gray.ckpt", "--in_channels", 1)
    assert "first convolution: colors added up to gray" in out
    info = checkpoint.load(tmp_path / "gray.ckpt").info
    assert info.in_channels == 1 and info.preprocessing.mean == pytest.approx((0.449,))
    expected = logits(tmp_path / "color.ckpt", COLOR)
    assert_close(logits(tmp_path / "gray.ckpt", GRAY), expected)
    assert_close(logits(source, GRAY, backbone="resnet20", in_channels=1), expected)
    with pytest.raises(UserError, match="in_channels: 3 was asked for, but .*gray.ckpt holds 1"):
        logits(tmp_path / "gray.ckpt", COLOR, in_channels=3)

    convert(command, tmp_path / "gray.ckpt", tmp_path / "gray.safetensors")  # of itself, with its description
    out, _ = convert(command, tmp_path / "gray.safetensors", tmp_path / "again.ckpt", "--in_channels", 3)
    assert "gray shared out to three colors" in out
    again = checkpoint.load(tmp_path / "again.ckpt")
    assert again.info.in_channels == 3 and again.weights["conv1.weight"].shape == (16, 3, 3, 3)
    assert_close(again.weights["conv1.weight"].asnumpy().sum(1), STATE["conv1.weight"].sum(1))


def test_training_for_gray_images_starts_from_weights_for_color(source, tmp_path, command):
    convert(command, source, tmp_path / "color.ckpt")
    keys = {"backbone": "resnet20", "num_classes": 7, "in_channels": 1, "pretrained": str(tmp_path / "color.ckpt")}
    weights = {parameter.name: parameter.asnumpy() for parameter in create_network(build_config(keys)).get_parameters()}
    assert_close(weights["conv1.weight"], STATE["conv1.weight"].sum(1, keepdims=True))
    assert all((weights[name] == STATE[name]).all() for name in weights if name != "conv1.weight")


def test_the_first_convolution_is_timms():
    adapt = pytest.importorskip("timm.models._manipulate").adapt_input_conv
    torch = pytest.importorskip("torch")
    weight = np.random.default_rng(1).normal(size=(8, 3, 7, 7)).astype(np.float32)
    np.testing.assert_allclose(fit_channels(weight, 1), adapt(1, torch.tensor(weight)).numpy(), atol=1e-6)


@pytest.mark.parametrize("backbone", ["resnet18", "resnest14d", "resnet20"])
def test_a_network_for_gray_images_differs_in_its_first_convolution_alone(backbone):
    networks = [create_model(backbone, 5, in_channels=channels) for channels in (3, 1)]
    shapes = [{value.name: tuple(value.shape) for value in network.get_parameters()} for network in networks]
    differing = [name for name in shapes[0] if shapes[0][name] != shapes[1][name]]
    assert differing == ["conv1.0.weight" if backbone == "resnest14d" else "conv1.weight"]
    assert shapes[1][differing[0]][1] == 1 and shapes[0].keys() == shapes[1].keys()


@pytest.mark.parametrize("channels", [0, 2, 4, 5])
def test_other_numbers_of_channels_are_one_line(channels):
    for attempt in (
        lambda: build_config({"in_channels": channels}),
        lambda: create_model("resnet18", 5, in_channels=channels),
        lambda: fit_channels(np.zeros((4, channels, 3, 3), np.float32), 1),
    ):
        with pytest.raises(UserError, match=f"in_channels: .*{channels}"):
            attempt()


@pytest.fixture
def thousand(tmp_path):
    """Weights of another program for 1,000 classes."""
    tensors = {name: ("F32", values) for name, values in draw(shapes_of("resnet20", 1000)).items()}
    return write_safetensors(tmp_path / "thousand.safetensors", tensors)


def test_weights_of_1000_classes_know_imagenets_names_and_others_none(thousand, source, tmp_path, command):
    out, _ = convert(command, thousand, tmp_path / "a.ckpt")
    assert "taken to be ImageNet's" in out
    assert checkpoint.load(tmp_path / "a.ckpt").info.class_names == tuple(imagenet_classes())
    convert(command, source, tmp_path / "b.ckpt")
    assert checkpoint.load(tmp_path / "b.ckpt").info.class_names == ()


def test_a_file_names_other_classes(thousand, source, tmp_path, command, refused):
    names = tmp_path / "names.txt"
    names.write_text("".join(f"class {i}\n" for i in range(7)))
    convert(command, source, tmp_path / "b.ckpt", "--class_names", names)
    assert checkpoint.load(tmp_path / "b.ckpt").info.class_names[6] == "class 6"
    with_names = load_classifier(source, build_config({"backbone": "resnet20", "class_names": str(names)}))
    assert with_names.class_names[0] == "class 0"
    line = refusal(refused, thousand, "--class_names", names)
    assert "class_names: 7 names, but the weights have 1000 classes" in line
    with pytest.raises(UserError, match="class_names: .* has 7 names, .*thousand.safetensors has 1000 classes"):
        load_classifier(thousand, build_config({"backbone": "resnet20", "class_names": str(names)}))
