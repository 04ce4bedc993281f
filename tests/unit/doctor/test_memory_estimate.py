"""The estimate of a training step's memory against what `python benchmarks/memory.py` measured."""

import pytest

from src.config import build_config
from src.doctor.device_memory import training_bytes
from src.doctor.resources import runtime_bytes
from src.networks.registry import find_model

# Network, images in a batch, largest resident memory in MB. MindSpore 2.10.0, x86-64, one core, float32, 224 x 224
# pixels; resnet20 with 32 x 32.
MEASURED = [
    ("resnet18", 8, 1132),
    ("resnet18", 32, 1787),
    ("resnet50", 4, 1596),
    ("resnet50", 12, 2323),
    ("resnet50d", 12, 2483),
    ("resnext50_32x4d", 4, 1604),
    ("resnext50_32x4d", 12, 2550),
    ("seresnet50", 4, 2523),
    ("seresnet50", 12, 4841),
    ("resnest50d", 4, 2517),
    ("resnest50d", 8, 3520),
    ("resnest50d", 16, 5552),
    ("resnet20", 64, 721),
    ("resnet20", 256, 1044),
]


@pytest.mark.parametrize(("network", "batch", "megabytes"), MEASURED)
def test_it_is_within_15_percent_of_what_was_measured(network, batch, megabytes):
    spec = find_model(network)
    classes = 10 if spec.stem == "cifar" else 1000
    size = f"{spec.image_size},{spec.image_size}"
    config = build_config({"backbone": network, "num_classes": classes, "per_batch_size": batch, "image_size": size})
    estimate = (training_bytes(config) + runtime_bytes(config)) / 1e6
    assert abs(estimate / megabytes - 1) <= 0.15
