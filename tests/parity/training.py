"""What a few training steps leave behind, small enough to be stored and compared between frameworks."""

import zlib

import numpy as np

STEPS = 5
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY, LABEL_SMOOTHING = 0.002, 0.9, 1e-4, 0.1
NUM_CLASSES = 10
_SAMPLES = 32  # values kept of every tensor

# Network -> the name of the published one that it has the blocks of, its stage sizes, pixels and seed of its batch.
#
# At the kinks of ReLU and max-pool rounding decides where a gradient goes: on every second batch of 48 x 48 pixels PyTorch's
# own float32 and float64 runs differ by 1 % after one step. Such a batch can't tell right from wrong. Fewer pixels come less
# close: on these batches, chosen from a hundred or so (make_training_reference.py --choose), all numbers of the five steps
# stay at least 2e-6 of their size away (4e-6 with 16 x 16 pixels), ten times what rounding does to them.
NETWORKS = {
    "resnet18": ("resnet18", (2, 2, 2, 2), 24, 25),
    "small resnext": ("resnext50_32x4d", (1, 1, 1, 1), 16, 5),
    "small seresnext": ("seresnext50_32x4d", (1, 1, 1, 1), 16, 46),
    "small resnest": ("resnest50d", (1, 1, 1, 1), 16, 36),
}


# The longer run: another batch each step, as training has it, through a small ResNeXt. The rate is low because kinks let
# rounding grow: at 0.002 PyTorch's own float32 and float64 losses part by 7e-2 in 50 steps, at 0.0001 by 4e-4.
CURVE_NETWORK, CURVE_STEPS, CURVE_FIRST_SEED, CURVE_RATE, CURVE_SIZE = "small resnext", 50, 1000, 0.0001, 48


# Checkpoints averaged, and batches for the running statistics of their mean.
AVERAGED_NETWORK, MEMBERS, STATISTICS_SEEDS = "small seresnext", 3, (50, 51, 52)


def members_of(shapes: dict) -> list:
    """Weights of several networks of the same shapes, as `weights.draw_weights` gives those of one."""
    from weights import draw_weights

    found = []
    for number in range(MEMBERS):
        drawn = draw_weights({f"{number}.{name}": shape for name, shape in shapes.items()})
        found.append({name.partition(".")[2]: value for name, value in drawn.items()})
    return found


def draw_batch(seed: int, size: int = CURVE_SIZE) -> tuple:
    """The batch of a step: images float32 (8, 3, size, size), labels int32 (8,)."""
    return np.random.default_rng(seed).standard_normal((8, 3, size, size), np.float32), np.arange(8, dtype=np.int32)


def sample(weights: dict) -> dict:
    """Of every tensor, running statistics included, some of its values and its largest absolute value.

    Args:
        weights: parameter name -> array, names as torchvision writes them.

    Returns:
        Name -> float32 (up to 33,), the largest absolute value last.
    """
    samples = {}
    for name, values in weights.items():
        flat = np.asarray(values, np.float32).ravel()
        places = np.random.default_rng(zlib.crc32(name.encode())).integers(0, flat.size, min(_SAMPLES, flat.size))
        samples[name] = np.append(flat[places], np.abs(flat).max())
    return samples
