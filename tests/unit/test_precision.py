import dataclasses

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.errors import UserError
from src.models.create import create_model
from src.networks import registry
from src.networks.registry import find_model
from src.training.precision import mixed_precision

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def float32():
    """A split-attention network of three stages with its logits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._MODELS, "small", dataclasses.replace(find_model("resnest50d"), stage_sizes=(1, 1, 1)))
        network = create_model("small", 7).set_train(False)
        yield network, network(ms.Tensor(IMAGES)).asnumpy().copy()


@pytest.mark.parametrize("level", ["O1", "O2", "O3", "auto"])
def test_weights_stay_in_float32_with_their_names_and_logits_nearly_the_same(level, float32):
    original, plain = float32
    network = create_model("small", 7)
    ms.load_param_into_net(network, original.parameters_dict())
    names = {parameter.name for parameter in network.get_parameters()}
    mixed = mixed_precision(network, level, "float16", "CPU").set_train(False)
    logits = mixed(ms.Tensor(IMAGES))
    assert logits.dtype == ms.float32
    assert {parameter.name for parameter in mixed.get_parameters()} == names
    assert {parameter.dtype for parameter in mixed.get_parameters()} == {ms.float32}
    difference = np.abs(logits.asnumpy() - plain).max() / np.abs(plain).max()
    assert 1e-6 < difference < 2e-2  # other numbers, so 16 bits were at work


def test_level_0_changes_nothing():
    network = create_model("resnet20", 7)
    assert mixed_precision(network, "O0", "bfloat16", "CPU") is network


def test_level_1_returns_to_float32_after_every_product():
    network = mixed_precision(create_model("resnet20", 7), "O1", "float16", "CPU")
    products = [cell for _, cell in network.cells_and_names() if type(cell).__name__ == "_Product"]
    assert len(products) == 20  # 19 convolutions and the classifier; the shortcuts of resnet20 have none
    x = ms.Tensor(np.full((1, 16, 8, 8), 0.1, np.float32))
    inner = [cell for cell in products if isinstance(cell.layer, nn.Conv2d) and cell.layer.in_channels == 16][0]
    assert inner.layer(x).dtype == ms.float16 and inner(x).dtype == ms.float32


def test_large_activations_in_16_bits_do_not_overflow():
    network = mixed_precision(create_model("resnet20", 7), "O3", "float16", "CPU").set_train(False)
    assert np.isfinite(network(ms.Tensor(100 * IMAGES)).asnumpy()).all()


def test_bfloat16_is_refused_of_mindspores_kernels_on_the_cpu():
    with pytest.raises(UserError, match="amp_dtype.*float16"):
        mixed_precision(create_model("resnet20", 7), "O2", "bfloat16", "CPU")
