"""Writes updates_reference.npz: what PyTorch's and timm's optimizers and schedules do in 200 steps (updates.py).

Usage: python tests/parity/make_updates_reference.py, with what benchmarks/requirements.txt lists.

The file holds `versions` and
    `<optimizer>/<parameter>` (kept steps, ...): the weights after the steps of `KEPT`, float32,
    `<schedule>.pytorch` and `<schedule>.timm` (200,): the rate of every step (timm warms up otherwise: its, after that),
    `<network>.names`, `<network>.shares`, `<network>.decayed`: timm's groups for layer decay, parameter by parameter.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch.optim import lr_scheduler as schedulers

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1])]

import updates  # noqa: E402
from make_reference import import_torchvision  # noqa: E402

import_torchvision()  # timm imports it
import timm  # noqa: E402
from timm.optim import Lamb, Lars, param_groups_layer_decay  # noqa: E402
from timm.scheduler.cosine_lr import CosineLRScheduler  # noqa: E402
from timm.scheduler.poly_lr import PolyLRScheduler  # noqa: E402

WARMUP, TOTAL = updates.WARMUP_EPOCHS * updates.STEPS_PER_EPOCH, updates.EPOCHS * updates.STEPS_PER_EPOCH
LAYERS = ("conv1", "layer1.0", "layer2.1", "fc")  # of the small problem


def train(keys: dict, highest: float) -> dict:
    """The weights of the kept steps by name."""
    weights = {name: torch.nn.Parameter(torch.from_numpy(w)) for name, w in updates.first_weights().items()}
    decay = keys.get("layer_decay", 1.0)
    groups = []
    for name, weight in weights.items():
        place = next(i for i, layer in enumerate(LAYERS) if name.startswith(f"{layer}."))
        share = decay ** (len(LAYERS) - 1 - place)
        groups.append({"params": [weight], "share": share, "weight_decay": updates.WEIGHT_DECAY * (weight.ndim > 1)})
    nesterov, kind = bool(keys.get("nesterov")), keys["optimizer"]
    optimizer = {
        "momentum": lambda: torch.optim.SGD(groups, lr=1, momentum=updates.MOMENTUM, nesterov=nesterov),
        "adamw": lambda: torch.optim.AdamW(groups, lr=1),
        "lars": lambda: Lars(groups, lr=1, momentum=updates.MOMENTUM, nesterov=nesterov),
        "lamb": lambda: Lamb(groups, lr=1, max_grad_norm=None),
    }[kind]()
    kept = {name: [] for name in weights}
    for step, rate in enumerate(updates.rates(highest).tolist()):
        found = updates.gradients({name: w.detach().numpy() for name, w in weights.items()}, step)
        for name, weight in weights.items():
            weight.grad = torch.from_numpy(found[name])
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
        optimizer.step()
        if step + 1 in updates.KEPT:
            for name, weight in weights.items():
                kept[name].append(weight.detach().numpy().copy())
    return {name: np.stack(values) for name, values in kept.items()}


def single() -> torch.optim.Optimizer:
    """An optimizer to read the rate from."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=updates.LR)


def pytorch_rates(keys: dict) -> np.ndarray:
    """PyTorch's schedule, after its warm-up where there is one."""
    optimizer = single()
    warmup = WARMUP if keys["warmup_epochs"] else 0
    eta_min, end = keys.get("eta_min", 0), keys.get("T_max", updates.EPOCHS) * updates.STEPS_PER_EPOCH
    main = {
        "cosine_annealing": lambda: schedulers.CosineAnnealingLR(optimizer, end - warmup, eta_min),
        "cosine_warm_restarts": lambda: schedulers.CosineAnnealingWarmRestarts(
            optimizer, end - warmup, keys.get("lr_cycle_mul", 1), eta_min
        ),
        "polynomial": lambda: schedulers.PolynomialLR(optimizer, end - warmup, keys.get("lr_power", 2)),
        "step": lambda: schedulers.MultiStepLR(
            optimizer, [int(epoch) * updates.STEPS_PER_EPOCH for epoch in keys["lr_epochs"].split(",")], 0.1
        ),
        "exponential": lambda: schedulers.ExponentialLR(optimizer, keys["lr_gamma"] ** (1 / updates.STEPS_PER_EPOCH)),
    }[keys["lr_scheduler"]]()
    schedule = main
    if warmup:
        rise = schedulers.LinearLR(optimizer, 1 / warmup, 1, warmup - 1)
        schedule = schedulers.SequentialLR(optimizer, [rise, main], [warmup])
    found = []
    for _ in range(TOTAL):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    if keys["lr_scheduler"] == "polynomial" and eta_min:  # PyTorch's ends at 0
        found[warmup:] = eta_min + (updates.LR - eta_min) * np.array(found[warmup:]) / updates.LR
    return np.array(found)


def timm_rates(keys: dict) -> np.ndarray:
    """timm's schedule."""
    optimizer, warmup = single(), WARMUP if keys["warmup_epochs"] else 0
    length = keys.get("T_max", updates.EPOCHS) * updates.STEPS_PER_EPOCH - warmup
    common = {"lr_min": keys.get("eta_min", 0), "warmup_t": warmup, "warmup_prefix": True, "t_in_epochs": False}
    if keys["lr_scheduler"] == "polynomial":
        schedule = PolyLRScheduler(optimizer, length, keys.get("lr_power", 2), **common)
    else:
        limit = 100 if keys["lr_scheduler"] == "cosine_warm_restarts" else 1
        schedule = CosineLRScheduler(optimizer, length, cycle_mul=keys.get("lr_cycle_mul", 1), cycle_limit=limit, **common)
    found = []
    for step in range(TOTAL):
        schedule.step_update(step)
        found.append(optimizer.param_groups[0]["lr"])
    return np.array(found[warmup:])


def layers(network: str) -> dict:
    """timm's groups of a network's parameters."""
    model = timm.create_model(network)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rows = [
        (names[id(parameter)], group["lr_scale"], group["weight_decay"] > 0)
        for group in param_groups_layer_decay(model, updates.WEIGHT_DECAY, layer_decay=updates.LAYER_DECAY)
        for parameter in group["params"]
    ]
    return {f"{network}.{key}": np.array(column) for key, column in zip(("names", "shares", "decayed"), zip(*rows))}


def main() -> None:
    """Computes and writes the file."""
    content = {"versions": np.array(f"torch {torch.__version__}, timm {timm.__version__}")}
    for name, (highest, keys) in updates.OPTIMIZERS.items():
        content.update({f"{name}/{parameter}": values for parameter, values in train(keys, highest).items()})
    for name, keys in updates.SCHEDULES.items():
        content[f"{name}.pytorch"] = pytorch_rates(keys)
        if keys["lr_scheduler"] not in ("step", "exponential"):
            content[f"{name}.timm"] = timm_rates(keys)
    for network in updates.LAYERED:
        content.update(layers(network))
    np.savez_compressed(FOLDER / "updates_reference.npz", **content)


if __name__ == "__main__":
    main()
