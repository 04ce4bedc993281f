"""LARS and LAMB against their formulas in float64."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.config import build_config
from src.cpu.choice import obstacle
from src.training.optimizers import create_optimizer

RATES = [0.5, 0.25, 0.125]
DECAY = 0.1


def gradients() -> list:
    """Weight's and bias's of three steps."""
    generator = np.random.default_rng(3)
    return [(generator.standard_normal((3, 4), np.float32), generator.standard_normal(3, np.float32)) for _ in RATES]


def after_three_steps(**values) -> tuple:
    network = nn.Dense(4, 3, weight_init="ones", bias_init="ones")
    config = build_config({"weight_decay": DECAY, "momentum": 0.9, **values})
    optimizer = create_optimizer(network, np.array(RATES, np.float32), config)
    for weight, bias in gradients():
        optimizer((ms.Tensor(weight), ms.Tensor(bias)))
    return network.weight.asnumpy(), network.bias.asnumpy()


def lars(weight: np.ndarray, adapted: bool, nesterov: bool, which: int) -> np.ndarray:
    velocity = np.zeros_like(weight)
    for rate, both in zip(RATES, gradients()):
        gradient = both[which].astype(np.float64)
        if adapted:
            norm = np.linalg.norm(weight)
            trust = 0.001 * norm / (np.linalg.norm(gradient) + DECAY * norm)
            gradient = trust * (gradient + DECAY * weight)
        velocity = 0.9 * velocity + gradient
        weight = weight - rate * (gradient + 0.9 * velocity if nesterov else velocity)
    return weight


def lamb(weight: np.ndarray, adapted: bool, which: int) -> np.ndarray:
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for number, (rate, both) in enumerate(zip(RATES, gradients()), 1):
        gradient = both[which].astype(np.float64)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        change = mean / (1 - 0.9**number) / (np.sqrt(square / (1 - 0.999**number)) + 1e-6)
        if adapted:
            change = change + DECAY * weight
            change = change * np.linalg.norm(weight) / np.linalg.norm(change)
        weight = weight - rate * change
    return weight


@pytest.mark.parametrize("decay_bias", [False, True])
@pytest.mark.parametrize("nesterov", [False, True])
def test_lars(decay_bias, nesterov):
    weight, bias = after_three_steps(optimizer="lars", decay_norm_and_bias=decay_bias, nesterov=nesterov)
    np.testing.assert_allclose(weight, lars(np.ones((3, 4)), True, nesterov, 0), rtol=1e-6)
    np.testing.assert_allclose(bias, lars(np.ones(3), decay_bias, nesterov, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("decay_bias", [False, True])
def test_lamb(decay_bias):
    weight, bias = after_three_steps(optimizer="lamb", decay_norm_and_bias=decay_bias)
    np.testing.assert_allclose(weight, lamb(np.ones((3, 4)), True, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(bias, lamb(np.ones(3), decay_bias, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "lars", "lamb"])
def test_a_parameter_of_zeros_still_moves(optimizer):
    network = nn.Dense(4, 3, weight_init="zeros", bias_init="zeros")
    step = create_optimizer(network, np.array(RATES, np.float32), build_config({"optimizer": optimizer}))
    step(tuple(map(ms.Tensor, gradients()[0])))
    assert np.isfinite(network.weight.asnumpy()).all() and network.weight.asnumpy().any()


@pytest.mark.parametrize("mode", [ms.GRAPH_MODE, ms.PYNATIVE_MODE])
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_in_one_pass_has_the_same_bits(nesterov, mode):
    if reason := obstacle(build_config()):
        pytest.skip(reason)
    old = ms.get_context("mode")
    ms.set_context(mode=mode)
    found = [after_three_steps(nesterov=nesterov, cpu_kernels=kernels) for kernels in ("blocked", "stock")]
    ms.set_context(mode=old)
    weight, bias = (np.ones((3, 4), np.float32), np.ones(3, np.float32))
    velocities = [np.zeros_like(weight), np.zeros_like(bias)]
    for rate, both in zip(np.float32(RATES), gradients()):
        for value, velocity, gradient, decay in zip((weight, bias), velocities, both, np.float32([DECAY, 0])):
            decayed = gradient + decay * value
            velocity[:] = np.float32(0.9) * velocity + decayed
            value[:] = value - rate * (decayed + np.float32(0.9) * velocity if nesterov else velocity)
    for (ours, theirs), expected in zip(zip(*found), (weight, bias)):
        assert ours.tobytes() == theirs.tobytes() == expected.tobytes()


def test_adamw_in_one_pass_has_the_same_bits():
    if reason := obstacle(build_config()):
        pytest.skip(reason)
    old = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE)
    found = [after_three_steps(optimizer="adamw", cpu_kernels=kernels) for kernels in ("blocked", "stock")]
    ms.set_context(mode=old)
    for ours, theirs in zip(*found):
        assert ours.tobytes() == theirs.tobytes()
