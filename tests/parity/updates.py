"""What optimizers and schedules are compared on: a small problem for 200 steps, and settings as this package names them."""

import numpy as np

STEPS = 200
KEPT = (1, 2, 5, 20, 50, 100, 200)  # steps after which the weights are compared
WEIGHT_DECAY, MOMENTUM = 0.02, 0.9
# Named as in a network, which decides about weight decay and layers.
SHAPES = {
    "conv1.weight": (5, 3, 3, 3), "layer1.0.bn1.weight": (6,), "layer2.1.conv2.weight": (4, 6), "fc.weight": (3, 7),
    "fc.bias": (3,),
}  # fmt: skip
# Name -> the highest learning rate, and the keys of this package.
OPTIMIZERS = {
    "momentum": (0.02, {"optimizer": "momentum"}),
    "nesterov": (0.02, {"optimizer": "momentum", "nesterov": 1}),
    "momentum, layer decay": (0.02, {"optimizer": "momentum", "layer_decay": 0.7}),
    "adamw": (0.002, {"optimizer": "adamw"}),
    "adamw, layer decay": (0.002, {"optimizer": "adamw", "layer_decay": 0.7}),
    "lars": (0.5, {"optimizer": "lars"}),
    "lars, nesterov": (0.5, {"optimizer": "lars", "nesterov": 1}),
    "lamb": (0.002, {"optimizer": "lamb"}),
    "lamb, layer decay": (0.002, {"optimizer": "lamb", "layer_decay": 0.7}),
}
LAYER_DECAY = 0.75
LAYERED = ("resnet18", "resnet50d", "seresnext50_32x4d", "resnest14d")  # networks whose layers are compared

EPOCHS, STEPS_PER_EPOCH, WARMUP_EPOCHS, LR, ETA_MIN = 20, 10, 2, 0.4, 0.01
_WARM = {"eta_min": ETA_MIN, "warmup_epochs": WARMUP_EPOCHS}
SCHEDULES = {
    "cosine": {"lr_scheduler": "cosine_annealing", **_WARM},
    "restarts": {"lr_scheduler": "cosine_warm_restarts", "T_max": 5, "lr_cycle_mul": 2, **_WARM},
    "equal restarts": {"lr_scheduler": "cosine_warm_restarts", "T_max": 5, **_WARM},
    "polynomial": {"lr_scheduler": "polynomial", **_WARM},
    "line to 0": {"lr_scheduler": "polynomial", "lr_power": 1, "warmup_epochs": 0, "T_max": 15},
    "step": {"lr_scheduler": "step", "lr_epochs": "6,11", "warmup_epochs": 0},
    "exponential": {"lr_scheduler": "exponential", "lr_gamma": 0.97, "warmup_epochs": WARMUP_EPOCHS},
}


def first_weights() -> dict:
    """Name -> float32 array."""
    generator = np.random.default_rng(1)
    return {name: generator.normal(0, 0.3, shape).astype(np.float32) for name, shape in SHAPES.items()}


def gradients(weights: dict, step: int) -> dict:
    """Of a bowl under noise: what an optimizer does comes back to it. `step` counts from 0."""
    generator = np.random.default_rng((2, step))
    noise = {name: generator.normal(0, 0.5, shape).astype(np.float32) for name, shape in SHAPES.items()}
    return {name: noise[name] + np.float32(0.5) * weights[name] for name in weights}


def rates(highest: float) -> np.ndarray:
    """Of every step, float32: no two alike."""
    return np.linspace(highest, highest / 10, STEPS).astype(np.float32)
