"""Five training steps do to the networks what PyTorch's do: losses, weights, running statistics.

training_reference.npz holds PyTorch's side (make_training_reference.py writes it).
"""

import dataclasses
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from src.config import build_config
from src.cpu.choice import obstacle
from src.models.create import create_model
from src.networks import registry
from src.networks.registry import find_model
from src.training.losses import create_loss
from src.training.optimizers import create_optimizer
from src.training.step import TrainStep

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from training import (  # noqa: E402
    CURVE_FIRST_SEED,
    CURVE_NETWORK,
    CURVE_RATE,
    CURVE_STEPS,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    MOMENTUM,
    NETWORKS,
    NUM_CLASSES,
    STEPS,
    WEIGHT_DECAY,
    draw_batch,
    sample,
)
from weights import draw_weights  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["stock", "blocked"])
@pytest.mark.parametrize("name", NETWORKS)
def test_five_steps_equal_pytorchs(name, kernels, monkeypatch):
    if kernels == "blocked" and (reason := obstacle(build_config())):
        pytest.skip(reason)
    published, stage_sizes, size, seed = NETWORKS[name]
    monkeypatch.setitem(registry._MODELS, name, dataclasses.replace(find_model(published), stage_sizes=stage_sizes))
    network, step = prepared(name, STEPS, LEARNING_RATE, kernels)
    images, labels = map(ms.Tensor, draw_batch(seed, size))
    losses = [float(step(images, labels)[0].asnumpy()) for _ in range(STEPS)]

    with np.load(FOLDER / "training_reference.npz") as file:
        np.testing.assert_allclose(losses, file[f"{name}.losses"], rtol=0, atol=1e-4)
        samples = sample({parameter.name: parameter.asnumpy() for parameter in network.get_parameters()})
        expected = {key.partition("/")[2]: file[key] for key in file.files if key.startswith(f"{name}/")}
    assert set(samples) == set(expected)
    differences = {key: np.abs(samples[key] - expected[key]).max() / expected[key][-1] for key in expected}
    print(f"largest difference of {name}, {kernels}: {max(differences.values()):.1e}")
    assert max(differences.values()) <= 1e-5, sorted(differences.items(), key=lambda item: -item[1])[:5]


@pytest.mark.slow
def test_the_losses_of_fifty_steps_are_pytorchs(monkeypatch):
    published, stage_sizes, *_ = NETWORKS[CURVE_NETWORK]
    monkeypatch.setitem(registry._MODELS, CURVE_NETWORK, dataclasses.replace(find_model(published), stage_sizes=stage_sizes))
    _, step = prepared(CURVE_NETWORK, CURVE_STEPS, CURVE_RATE)
    losses = []
    for seed in range(CURVE_FIRST_SEED, CURVE_FIRST_SEED + CURVE_STEPS):
        losses.append(float(step(*map(ms.Tensor, draw_batch(seed)))[0].asnumpy()))
    with np.load(FOLDER / "training_reference.npz") as file:
        difference = np.abs(losses - file["curve"]).max()
    print(f"largest difference of {CURVE_STEPS} losses: {difference:.1e}")
    assert difference < 1e-3


def prepared(name: str, steps: int, rate: float, kernels: str = "stock") -> tuple:
    """The network with the weights of weights.py, and its training step."""
    network = create_model(name, NUM_CLASSES, kernels=kernels)
    drawn = draw_weights({parameter.name: parameter.shape for parameter in network.get_parameters()})
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(drawn[parameter.name]))
    values = {"momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY, "label_smooth_factor": LABEL_SMOOTHING}
    config = build_config({**values, "decay_norm_and_bias": True})
    optimizer = create_optimizer(network, np.full(steps, rate, np.float32), config)
    return network, TrainStep(network, optimizer, create_loss(config), config.loss_scale).set_train()
