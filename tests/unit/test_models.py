import dataclasses

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn, ops

from src.errors import UserError
from src.models.complexity import count_multiply_adds, count_parameters
from src.models.create import create_model
from src.models.layers import PaddedAveragePool, PadShortcut, batch_norm
from src.networks import registry
from src.networks.registry import find_model, list_models, register

# As torchvision's documentation of its weights states them, in G.
PUBLISHED_MULTIPLY_ADDS = {"resnet18": 1.814, "resnet50": 4.089, "resnext50_32x4d": 4.230}


def test_resnext152_is_an_alias():
    assert find_model("resnext152") is find_model("resnext152_64x4d")
    assert "resnext152" not in list_models()


def test_a_duplicate_name_fails():
    for name in ("resnet50", "resnext152"):
        with pytest.raises(ValueError, match="registered twice"):
            register(name, find_model("resnet50"))


def test_an_unknown_name_lists_near_ones():
    with pytest.raises(UserError, match=r"unknown network 'resnext50_32x4'; did you mean resnext50_32x4d"):
        create_model("resnext50_32x4")


@pytest.fixture
def without_compiling():
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=mode)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models())
def test_every_weight_of_every_network_gets_a_gradient(name, without_compiling):
    network = create_model(name, 5).set_train()
    weights = network.trainable_params()
    images = ms.Tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32))

    def loss(images):
        return (network(images) ** 2).sum()

    gradients = ms.value_and_grad(loss, None, ms.ParameterTuple(weights))(images)[1]
    silent = [weight.name for weight, gradient in zip(weights, gradients) if not np.abs(gradient.asnumpy()).max() > 0]
    assert silent == []


@pytest.mark.parametrize("name", ["resnet18", "resnet20"])
def test_logits_have_one_column_per_class_at_any_image_size(name):
    network = create_model(name, 7).set_train(False)
    for size in ((32, 32), (48, 64)):
        assert network(ms.Tensor(np.zeros((2, 3, *size), np.float32))).shape == (2, 7)


@pytest.mark.parametrize(("name", "published"), PUBLISHED_MULTIPLY_ADDS.items())
def test_multiply_adds_equal_the_published_ones(name, published):
    counted = count_multiply_adds(create_model(name), (224, 224))
    assert counted / 1e9 == pytest.approx(published, rel=0.005)


def test_resnet20_has_the_papers_parameters():
    assert count_parameters(create_model("resnet20", 10)) == 269_722  # 0.27 M, He et al. 2015, table 6


@pytest.mark.parametrize("name", ["resnext11_8x16d", "resnest50d_4s2x40d"])
def test_one_convolution_per_group_is_another_form_of_the_same(name, monkeypatch):
    spec = dataclasses.replace(find_model(name), stage_sizes=(1, 1, 1))
    monkeypatch.setitem(registry._MODELS, "small", spec)
    fused, split = create_model("small", 5), create_model("small", 5, "split")
    assert {p.name: p.shape for p in fused.get_parameters()} == {p.name: p.shape for p in split.get_parameters()}
    ms.load_param_into_net(split, {p.name: p for p in fused.get_parameters()})
    images = ms.Tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32))

    def logits_and_gradients(network):
        def loss(images):
            return (network(images) ** 2).sum()

        weights = ms.ParameterTuple(network.set_train().trainable_params())
        value, gradients = ms.value_and_grad(loss, None, weights)(images)
        return [value.asnumpy(), *[gradient.asnumpy() for gradient in gradients]]

    for one, other in zip(logits_and_gradients(fused), logits_and_gradients(split)):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * np.abs(one).max())


class Windows(nn.Cell):
    """A convolution or pool of stride 2 with the padding that "same" means for images of even size, written as numbers."""

    def __init__(self, cell: nn.Cell):
        super().__init__()
        size = cell.kernel_size[0] if isinstance(cell, nn.Conv2d) else 3
        pads = ((size - 2) // 2, (size - 1) // 2)  # 3x3: none in front, one behind; 7x7: two and three
        self.pad = ops.Pad(((0, 0), (0, 0), pads, pads))
        self.cell = {nn.MaxPool2d: nn.MaxPool2d(3, 2), PaddedAveragePool: nn.AvgPool2d(3, 2)}.get(type(cell), cell)
        if isinstance(cell, nn.Conv2d):
            self.cell = nn.Conv2d(
                cell.in_channels, cell.out_channels, size, 2, "valid", group=cell.group, weight_init=cell.weight.value()
            )

    def construct(self, x):
        y = self.cell(self.pad(x))
        return y / self.cell(self.pad(ops.ones_like(x))) if isinstance(self.cell, nn.AvgPool2d) else y


def pad_by_hand(parent: nn.Cell, convolutions: bool) -> None:
    for name, cell in parent.name_cells().items():
        is_pool = isinstance(cell, (nn.MaxPool2d, PaddedAveragePool)) and not isinstance(parent, PadShortcut)
        is_strided = isinstance(cell, nn.Conv2d) and cell.stride == (2, 2) and cell.kernel_size != (1, 1)
        if is_pool or is_strided and convolutions:
            if isinstance(parent, nn.SequentialCell):
                parent[int(name)] = Windows(cell)
            else:
                setattr(parent, name, Windows(cell))
        else:
            pad_by_hand(cell, convolutions)


@pytest.mark.parametrize(
    ("name", "padding"),
    [("resnet18", "same"), ("resnext50_32x4d", "same"), ("resnest50d", "same"), ("resnest50d", "same_pools")],
)
def test_padding_lies_where_its_name_says(name, padding, monkeypatch, without_compiling):
    spec = dataclasses.replace(find_model(name), stage_sizes=(1, 1, 1))
    monkeypatch.setitem(registry._MODELS, "small", spec)
    networks = [create_model("small", 5, padding=kind).set_train(False) for kind in (padding, "symmetric", "symmetric")]
    for network in networks[1:]:
        ms.load_param_into_net(network, {p.name: p for p in networks[0].get_parameters()})
    pad_by_hand(networks[1], padding == "same")
    images = ms.Tensor(np.random.default_rng(0).standard_normal((2, 3, 64, 96), np.float32))
    logits, by_hand, symmetric = (network(images).asnumpy() for network in networks)
    np.testing.assert_allclose(by_hand, logits, rtol=0, atol=1e-5 * np.abs(logits).max())
    assert np.abs(symmetric - logits).max() > 1e-3 * np.abs(logits).max()


def test_an_unknown_padding_is_refused():
    with pytest.raises(UserError, match="padding: .* symmetric, same_pools, same, .*'reflect'"):
        create_model("resnet20", padding="reflect")


def test_synchronized_batch_norm_is_one_that_everything_knows(monkeypatch):
    plain, sync = create_model("resnest14d", 5), create_model("resnest14d", 5, sync_batch_norm=True)
    shapes = {p.name: (p.shape, p.requires_grad) for p in plain.get_parameters()}
    assert {p.name: (p.shape, p.requires_grad) for p in sync.get_parameters()} == shapes
    layers = [cell for _, cell in sync.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    assert len(layers) == sum(isinstance(cell, nn.BatchNorm2d) for _, cell in plain.cells_and_names())
    assert all(isinstance(layer, nn.SyncBatchNorm) for layer in layers)
    x = ms.Tensor(np.random.default_rng(0).standard_normal((2, 4, 3, 3), np.float32))
    alone = [batch_norm(4, sync=kind).set_train()(x).asnumpy() for kind in (False, True)]
    assert (alone[0] == alone[1]).all()  # one process has nothing to synchronize

    from mindspore.nn.layer import normalization

    monkeypatch.setattr(normalization, "get_group_size", lambda: 8)
    monkeypatch.setattr(normalization.context, "get_context", lambda key: {"device_target": "Ascend"}[key])
    of_eight = batch_norm(4, sync=True)
    assert of_eight.bn_train.name == "SyncBatchNorm" and of_eight.bn_train.device_num == 8
