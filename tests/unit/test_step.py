import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.config import build_config
from src.training.step import TrainStep, create_optimizer

IMAGES = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)
RATES = np.array([0.1, 0.3, 0.2], np.float32)
SMOOTHING = 0.1


def run_steps(**values) -> tuple:
    """Three steps on a linear classifier; its weight, bias and the losses."""
    network = nn.Dense(4, 3, weight_init=ms.Tensor(_start()), bias_init="ones")
    config = build_config({"momentum": 0.9, "weight_decay": 0.01, **values})
    step = TrainStep(network, create_optimizer(network, RATES, config), SMOOTHING, config.loss_scale).set_train()
    losses = [float(step(ms.Tensor(IMAGES), ms.Tensor(LABELS)).asnumpy()) for _ in RATES]
    return network.weight.asnumpy(), network.bias.asnumpy(), losses


def by_hand(decay_bias: bool) -> tuple:
    """The same in NumPy, float64."""
    weight, bias = _start().astype(np.float64), np.ones(3)
    speed, bias_speed, losses = np.zeros((3, 4)), np.zeros(3), []
    targets = np.full((6, 3), SMOOTHING / 3)
    targets[np.arange(6), LABELS] += 1 - SMOOTHING
    for rate in RATES:
        logits = IMAGES @ weight.T + bias
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        losses.append(-(targets * np.log(probabilities)).sum(1).mean())
        error = (probabilities - targets) / 6
        speed = 0.9 * speed + error.T @ IMAGES + 0.01 * weight
        bias_speed = 0.9 * bias_speed + error.sum(0) + (0.01 * bias if decay_bias else 0)
        weight, bias = weight - rate * speed, bias - rate * bias_speed
    return weight, bias, losses


def _start() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32)


@pytest.mark.parametrize("loss_scale", [1, 1024])
@pytest.mark.parametrize("decay_bias", [False, True])
def test_loss_and_update_equal_those_by_hand_whatever_the_loss_scale(loss_scale, decay_bias):
    for actual, expected in zip(run_steps(loss_scale=loss_scale, decay_norm_and_bias=decay_bias), by_hand(decay_bias)):
        np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=1e-6)
