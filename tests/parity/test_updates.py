"""Optimizers and schedules do in 200 steps what PyTorch's and timm's do (make_updates_reference.py writes their side)."""

import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.config import build_config
from src.models.create import create_model
from src.training.optimizers import create_optimizer, rate_shares, takes_decay
from src.training.schedules import learning_rates

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

import updates  # noqa: E402


@pytest.fixture(scope="module")
def reference():
    with np.load(FOLDER / "updates_reference.npz") as file:
        return dict(file)


class Weights(nn.Cell):
    """The parameters of the small problem."""

    def __init__(self):
        super().__init__()
        for number, (name, value) in enumerate(updates.first_weights().items()):
            setattr(self, f"weight{number}", ms.Parameter(ms.Tensor(value), name=name))


@pytest.mark.slow
@pytest.mark.parametrize("name", updates.OPTIMIZERS)
def test_two_hundred_updates(name, reference):
    highest, keys = updates.OPTIMIZERS[name]
    config = build_config({"weight_decay": updates.WEIGHT_DECAY, "momentum": updates.MOMENTUM, **keys})
    network = Weights()
    optimizer = create_optimizer(network, updates.rates(highest), config)
    weights = {parameter.name: parameter for parameter in network.trainable_params()}
    kept = []
    for step in range(updates.STEPS):
        found = updates.gradients({name: weight.asnumpy() for name, weight in weights.items()}, step)
        optimizer(tuple(ms.Tensor(found[name]) for name in weights))
        if step + 1 in updates.KEPT:
            kept.append({name: weight.asnumpy().copy() for name, weight in weights.items()})
    differences = {
        (key, step): np.abs(ours[key] - reference[f"{name}/{key}"][place]).max()
        for place, (step, ours) in enumerate(zip(updates.KEPT, kept))
        for key in weights
    }
    assert max(differences.values()) <= 1e-6, max(differences.items(), key=lambda item: item[1])


@pytest.mark.parametrize("name", updates.SCHEDULES)
def test_two_hundred_rates(name, reference):
    keys = {"lr": updates.LR, "max_epoch": updates.EPOCHS, **updates.SCHEDULES[name]}
    ours = learning_rates(build_config(keys), updates.STEPS_PER_EPOCH, 256)
    np.testing.assert_allclose(ours, reference[f"{name}.pytorch"], rtol=1e-6, atol=1e-9)
    if f"{name}.timm" in reference:
        theirs = reference[f"{name}.timm"]
        np.testing.assert_allclose(ours[-len(theirs) :], theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", updates.LAYERED)
def test_layers_are_timms(name, reference):
    names, theirs = reference[f"{name}.names"].tolist(), reference[f"{name}.shares"].tolist()
    running = [key.replace("weight", "running_mean") for key in names if ".bn" in key]  # parameters too, but not trained
    shares = rate_shares([*names, *running], updates.LAYER_DECAY)
    assert [shares[key] for key in names] == pytest.approx(theirs)


def test_weight_decay_falls_on_timms_parameters(reference):
    parameters = {parameter.name: parameter for parameter in create_model("resnet18").trainable_params()}
    theirs = dict(zip(reference["resnet18.names"].tolist(), reference["resnet18.decayed"].tolist()))
    assert {key: takes_decay(parameter, build_config()) for key, parameter in parameters.items()} == theirs
