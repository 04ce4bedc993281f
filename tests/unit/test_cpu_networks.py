"""Blocks and networks of blocked layers against those of MindSpore's own cells."""

import dataclasses

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from test_cpu_cells import SPEC, built, compare, difference, form, image, seeded, share_weights  # noqa: F401 - fixtures

from src.checkpoint import weights_of
from src.models.blocked import BLOCKED_BLOCKS, BlockedLayers, take_weights
from src.models.create import create_model, folded_copy
from src.models.inputs import OnBytes
from src.models.layers import Layers
from src.models.regularization import number_random_layers
from src.models.resnet import BLOCKS
from src.networks import registry
from src.networks.registry import find_model, list_models
from src.networks.spec import ResNetSpec


def clear_of_kinks(cell: nn.Cell) -> nn.Cell:
    """Every sum that goes into a ReLU lies far above 0 or far below."""
    for path, norm in cell.cells_and_names():
        if isinstance(norm, nn.BatchNorm2d):
            channels = np.arange(len(norm.gamma))
            shortcut = "downsample" in path
            norm.gamma.set_data(ms.Tensor(((0.3 if shortcut else 0.8) + channels % 5 * 0.05).astype(np.float32)))
            beta = np.zeros(len(channels)) if shortcut else np.where(channels % 3, 6, -6)
            norm.beta.set_data(ms.Tensor(beta.astype(np.float32)))
    return cell


SMALL = {"block": "bottleneck", "stage_sizes": (1, 1, 1, 1), "reference": ""}
BLOCK_SPECS = {
    "basic": ResNetSpec(**{**SMALL, "block": "basic"}),
    "basic, shortcut without parameters": ResNetSpec(**{**SMALL, "block": "basic", "shortcut": "pad"}),
    "basic, stochastic depth": ResNetSpec(**{**SMALL, "block": "basic"}, drop_path_rate=0.5),
    "bottleneck": ResNetSpec(**SMALL),
    "bottleneck, same padding": ResNetSpec(**SMALL, padding="same"),
    "groups": ResNetSpec(**SMALL, groups=8, base_width=4),
    "D": ResNetSpec(**SMALL, shortcut="pooled"),
    "squeeze": ResNetSpec(**SMALL, squeeze=True, groups=4, base_width=16),
    "squeeze, stochastic depth": ResNetSpec(**SMALL, squeeze=True, drop_path_rate=0.5),
    "split": ResNetSpec(**{**SMALL, "block": "split"}, shortcut="pooled", radix=2, width=8),
    "split, pool first, groups": ResNetSpec(
        **{**SMALL, "block": "split"}, shortcut="pooled", radix=4, groups=2, pool_first=True
    ),
    "split, drops": ResNetSpec(**{**SMALL, "block": "split"}, radix=2, drop_block_rate=0.2, drop_path_rate=0.3, width=8),
}


@pytest.mark.parametrize(("stride", "form"), [(1, False), (2, False), (2, True)], indirect=["form"])
@pytest.mark.parametrize("spec", BLOCK_SPECS.values(), ids=BLOCK_SPECS)
@pytest.mark.usefixtures("form")
def test_block(spec, stride):
    in_channels = 32
    channels = 32 if spec.block == "basic" else 64
    made = [
        blocks[spec.block](in_channels, channels, stride, spec, layers(spec), spec.drop_path_rate)
        for blocks, layers in ((BLOCKS, Layers), (BLOCKED_BLOCKS, BlockedLayers))
    ]
    for cell in made:
        clear_of_kinks(cell)
        number_random_layers(cell)
    out = channels * BLOCKS[spec.block].expansion
    x = image(6, in_channels, 8, 9) * 0.1 + image(6, in_channels, 1, 1) * 0.3
    # Split attention has gradients that are differences of large numbers: test_split_attention measures against float64.
    limit = 3e-4 if spec.block == "split" else 2e-5
    compare(*made, [x], (6, out, -(-8 // stride), -(-9 // stride)), dw_limit=limit)


def cut(name: str) -> ResNetSpec:
    """The same kind of network with few blocks, among them one that follows another in its stage."""
    spec = find_model(name)
    return dataclasses.replace(spec, stage_sizes=(1, 2, 1), reference="", image_size=32)


KINDS = {cut(name): name for name in list_models()}  # networks that differ in their depth alone have the same layers


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS.values())
def test_every_kind_of_network(name, monkeypatch):
    """Logits in training and in evaluation, folded too, are the stock ones', and every weight gets a gradient."""
    monkeypatch.setitem(registry._MODELS, "small", cut(name))
    stock, ours = create_model("small", 5), create_model("small", 5, kernels="blocked")
    assert [p.name for p in stock.get_parameters()] == [p.name for p in ours.get_parameters()]
    share_weights(stock, ours)
    images = ms.Tensor(image(2, 3, 64, 64) if stock.maxpool is not None else image(2, 3, 16, 16))

    weights = ms.ParameterTuple(ours.set_train().trainable_params())
    loss = ms.value_and_grad(lambda images: (ours(images) ** 2).sum(), None, weights)
    value, gradients = loss(images)
    silent = [weight.name for weight, gradient in zip(weights, gradients) if not np.abs(gradient.asnumpy()).max() > 0]
    assert silent == []
    expected = (stock.set_train()(images) ** 2).sum().asnumpy()
    assert value.asnumpy() == pytest.approx(expected, rel=1e-3)  # batch norms over few numbers magnify rounding

    share_weights(stock, ours)
    expected = stock.set_train(False)(images).asnumpy()
    assert difference(ours.set_train(False)(images).asnumpy(), expected) < 1e-5
    assert difference(folded_copy(stock, "small")(images).asnumpy(), expected) < 1e-5


@pytest.fixture
def compiled():
    """Graph mode, which may give parameters other names."""
    ms.set_context(mode=ms.GRAPH_MODE)
    yield
    ms.set_context(mode=ms.PYNATIVE_MODE)


def test_a_folded_copy_that_has_run_takes_other_weights(compiled, monkeypatch):
    """As in the evaluations of a training, every one with the weights of its epoch."""
    monkeypatch.setitem(registry._MODELS, "small", cut("resnet18"))
    first, second = (create_model("small", 5) for _ in range(2))
    for parameter in second.get_parameters():
        parameter.set_data(parameter * 1.2 + 0.01)
    folded = folded_copy(first, "small")
    images = ms.Tensor(np.random.default_rng(0).integers(0, 256, (2, 3, 64, 64), np.uint8))
    theirs, seconds, ours = (OnBytes(cell, (0.5,) * 3, (0.2,) * 3).set_train(False) for cell in (first, second, folded))
    assert difference(ours(images).asnumpy(), theirs(images).asnumpy()) < 1e-5
    take_weights(folded, weights_of(second))
    assert difference(ours(images).asnumpy(), seconds(images).asnumpy()) < 1e-5


@pytest.mark.parametrize("padding", ["same", "same_pools"])
def test_other_paddings(padding, monkeypatch):
    monkeypatch.setitem(registry._MODELS, "small", cut("resnest50d"))
    stock = create_model("small", 5, padding=padding).set_train(False)
    images = ms.Tensor(image(2, 3, 64, 71))
    expected = stock(images).asnumpy()
    assert difference(folded_copy(stock, "small")(images).asnumpy(), expected) < 1e-5
