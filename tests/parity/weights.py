"""Weights and images for comparing networks of two frameworks: drawn by name and size, so that they need not be stored."""

import hashlib
import zlib

import numpy as np

_SEED = 20151210  # any fixed number

# Compared at their own image size too. The others would take minutes and are made of the same parts.
AT_OWN_SIZE = (
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "seresnext50_32x4d",
    "wide_resnet50_2",
    "resnet50d",
    "resnest50d",
    "resnet34",
    "seresnet50",
    "resnest14d",
    "resnest26d",
)


def draw_weights(shapes: dict) -> dict:
    """Weights of a network: the same in every process and framework, whatever the order of the names.

    Args:
        shapes: parameter name as torchvision writes it -> shape.

    Returns:
        Parameter name -> float32 array of that shape; PyTorch's counters `num_batches_tracked` are left out.
    """
    return {name: _draw(name, tuple(shape)) for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def draw_images(size: int) -> np.ndarray:
    """Two images of colored squares under noise, the second of twice the contrast; float32 (2, 3, size, size)."""
    generator = np.random.default_rng(size)
    squares = np.kron(generator.standard_normal((2, 3, 8, 8)), np.ones((size // 8, size // 8)))
    noise = 0.5 * generator.standard_normal((2, 3, size, size))
    return ((squares + noise) * np.reshape([1, 2], (2, 1, 1, 1))).astype(np.float32)


def digest(shapes: dict) -> str:
    """SHA-256 of all names and shapes, whatever their order, for the same argument as `draw_weights`."""
    lines = [f"{name} {tuple(shape)}" for name, shape in shapes.items() if not name.endswith("num_batches_tracked")]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _draw(name: str, shape: tuple) -> np.ndarray:
    generator = np.random.default_rng((_SEED, zlib.crc32(name.encode())))
    kind = name.rpartition(".")[2]
    if len(shape) > 1:  # He et al. 2015, arXiv 1502.01852, equation 10: the fan in keeps the size of activations
        return generator.standard_normal(shape, np.float32) * np.float32((2 / np.prod(shape[1:])) ** 0.5)
    if kind == "weight":
        low, high = 0.5, 1.0
    elif kind == "running_var":
        # Larger inside a block (layer1.0.bn1), so that what 54 blocks add to their shortcuts stays small beside them.
        low, high = (1.0, 4.0) if name.count(".") == 3 else (0.5, 1.5)
    else:  # bias, running_mean: small, or they drown what an image contributes
        low, high = -0.1, 0.1
    return generator.uniform(low, high, shape).astype(np.float32)
