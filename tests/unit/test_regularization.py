import dataclasses

import mindspore as ms
import numpy as np
import pytest

from src import checkpoint, device
from src.config import build_config
from src.errors import UserError
from src.models.create import create_model
from src.models.regularization import DropBlock, Dropout
from src.networks import registry
from src.networks.registry import find_model


def seeded(make, seed: int = 3):
    device.prepare(build_config({"seed": seed, "platform": "CPU"}))
    return make()


def test_dropout_keeps_the_mean_and_repeats_with_the_seed():
    ones = ms.Tensor(np.ones((64, 512), np.float32))

    def two_masks(seed):
        layer = seeded(lambda: Dropout(0.25), seed).set_train()
        return [layer(ones).asnumpy().copy() for _ in range(2)]

    first, second = two_masks(3)
    assert set(np.unique(first)) == {0, np.float32(1 / 0.75)}
    assert (first == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert (first != second).any()
    again = two_masks(3)
    assert (again[0] == first).all() and (again[1] == second).all()
    assert (two_masks(4)[0] != first).any()


def test_drop_block_takes_squares_and_keeps_the_mean():
    layer = seeded(lambda: DropBlock(0.1)).set_train()
    output = layer(ms.Tensor(np.ones((8, 32, 14, 14), np.float32))).asnumpy()
    dropped = output == 0
    assert dropped.mean() == pytest.approx(0.1, abs=0.03)
    assert output.mean() == pytest.approx(1, abs=1e-3)
    # every dropped pixel lies in a dropped 3x3 block, at the border in the part of it that is inside
    padded = np.pad(dropped, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=True)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3)).all((-1, -2))
    covered = np.lib.stride_tricks.sliding_window_view(windows, (3, 3), (2, 3)).any((-1, -2))
    assert covered[dropped].all()


def test_neither_does_anything_in_evaluation_or_at_rate_0():
    x = ms.Tensor(np.random.default_rng(0).standard_normal((2, 4, 6, 6), np.float32))
    for kind in (Dropout, DropBlock):
        for layer in (kind(0.5).set_train(False), kind(0.0).set_train()):
            assert (layer(x).asnumpy() == x.asnumpy()).all()


@pytest.mark.slow
def test_a_resnest_trains_with_both_and_every_layer_drops_other_blocks(monkeypatch):
    spec = dataclasses.replace(find_model("resnest50d"), stage_sizes=(1, 1, 1, 1))
    monkeypatch.setitem(registry._MODELS, "small", spec)
    network = create_model("small", 5, drop_rate=0.2, drop_block_rate=0.1)
    plain = create_model("small", 5)
    assert set(checkpoint.weights_of(network)) == {p.name for p in plain.get_parameters()}
    layers = [cell for _, cell in network.cells_and_names() if isinstance(cell, DropBlock)]
    assert [cell.rate for cell in layers] == [0] * 6 + [0.1] * 6
    ones = ms.Tensor(np.ones((1, 8, 14, 14), np.float32))
    masks = {cell.set_train()(ones).asnumpy().tobytes() for cell in (layers[6], layers[7], layers[11])}
    assert len(masks) == 3
    images = ms.Tensor(np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32))
    ms.load_param_into_net(network, {p.name: p for p in plain.get_parameters()})
    network.set_train()
    assert (network(images).asnumpy() != network(images).asnumpy()).any()
    for statistics in (network, plain):
        for parameter in statistics.get_parameters():
            if "running" in parameter.name:
                parameter.set_data(ms.Tensor(np.ones(parameter.shape, np.float32)))
    np.testing.assert_allclose(
        network.set_train(False)(images).asnumpy(), plain.set_train(False)(images).asnumpy(), rtol=1e-3, atol=1e-3
    )


def test_drop_block_for_another_network_is_refused():
    with pytest.raises(UserError, match="drop_block_rate: 0.1 is for ResNeSt only, backbone is resnet18"):
        create_model("resnet18", 5, drop_block_rate=0.1)


def test_pooling_does_not_overflow_in_float16():
    from src.models.layers import global_average_pool

    pooled = global_average_pool(ms.Tensor(np.full((1, 1, 40, 40), 100, np.float16)))  # the sum is 160,000
    assert pooled.dtype == ms.float16 and float(pooled.asnumpy().item()) == 100
