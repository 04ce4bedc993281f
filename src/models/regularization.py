"""Dropout, DropBlock and stochastic depth, whose masks are a function of the seed, the layer and the number of the call.

The number of calls is a parameter of the layer, `train.<path>.calls`, which a checkpoint keeps: a resumed run draws the
masks that the uninterrupted one would have drawn. `nn.Dropout` cannot do that: on the CPU (MindSpore 2.10) its masks do not
even repeat with the seed.
"""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops

CALLS = "calls"  # name of the counter among a layer's parameters
# The finalizer of MurmurHash3 (Appleby 2011, public domain) as signed 32-bit numbers; products wrap around.
_MULTIPLIERS = (0x85EBCA6B - 2**32, 0xC2B2AE35 - 2**32)
_GOLDEN = 0x9E3779B9 - 2**32


class _Uniform(nn.Cell):
    """Random numbers in [0, 1), float32 of a given shape, other ones at each call; a counter-based generator.

    Every element's index goes through the finalizer of MurmurHash3, mixed with the seed, the layer and the call.
    """

    def __init__(self):
        super().__init__()
        self.calls = ms.Parameter(ms.Tensor(0, ms.int32), name=CALLS, requires_grad=False)
        self.number(0)

    def number(self, number: int) -> None:
        """Tells this layer's masks from those of the network's other ones."""
        first, second = np.random.SeedSequence([ms.get_seed() or 0, number]).generate_state(2).astype(np.int32)
        self.key, self.second_key = ms.Tensor(first, ms.int32), ms.Tensor(second, ms.int32)

    def construct(self, shape):
        call = self.calls * _GOLDEN
        first, second = _mix(call + self.key), _mix(call + self.second_key)
        index, stride = first, 1
        for axis in range(len(shape) - 1, -1, -1):  # summed axis by axis: no constant as large as the activations
            places = (1,) * axis + (shape[axis],) + (1,) * (len(shape) - 1 - axis)
            index = index + ops.reshape(ops.arange(0, shape[axis] * stride, stride, dtype=ms.int32), places)
            stride *= shape[axis]
        bits = _mix(index, second)
        uniform = ops.cast(ops.bitwise_and(bits, 0xFFFFFF), ms.float32) * 2.0**-24
        return ops.depend(uniform, ops.assign_add(self.calls, ms.Tensor(1, ms.int32)))


def number_random_layers(network: nn.Cell, rank: int = 0) -> None:
    """Gives every random layer masks of its own, on every rank other ones."""
    layers = [cell for _, cell in network.cells_and_names() if isinstance(cell, RandomLayer)]
    for number, layer in enumerate(layers):
        layer.number(number + rank * len(layers))


def _mix(x, key=0):
    """Scatters the bits of int32 numbers; `key` makes another function of it."""
    x = ops.bitwise_xor(x, _shifted(x, 16)) * _MULTIPLIERS[0]
    x = ops.bitwise_xor(ops.bitwise_xor(x, _shifted(x, 13)), key) * _MULTIPLIERS[1]
    return ops.bitwise_xor(x, _shifted(x, 16))


def _shifted(x, places: int):
    """The logical shift to the right, which int32 does not have."""
    return ops.bitwise_and(ops.bitwise_right_shift(x, places), 2 ** (32 - places) - 1)


class RandomLayer(nn.Cell):
    """What the layers below share: a rate and, where it is not 0, a source of random numbers."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self.uniform: Any = _Uniform() if rate else None

    def number(self, number: int) -> None:
        """Tells this layer's masks from those of the network's other ones."""
        if self.uniform is not None:
            self.uniform.number(number)


class Dropout(RandomLayer):
    """In training sets a share `rate` of the values to zero and scales the others by 1 / (1 - rate); otherwise does nothing.

    Reference: Srivastava et al. 2014, JMLR 15, section 10 (the scaled form).
    """

    def construct(self, x):
        if not self.training or self.uniform is None:
            return x
        kept = ops.cast(self.uniform(x.shape) >= self.rate, x.dtype)
        return x * ops.stop_gradient(kept) / (1 - self.rate)


class DropPath(RandomLayer):
    """Stochastic depth: in training drops whole images of a residual branch, x: (N, C, H, W), and scales the others.

    Reference: Huang et al. 2016, arXiv 1603.09382, in the scaled form of torchvision and timm.
    """

    def construct(self, x):
        if not self.training or self.uniform is None:
            return x
        kept = ops.cast(self.uniform((x.shape[0], 1, 1, 1)) >= self.rate, x.dtype)
        return x * ops.stop_gradient(kept) / (1 - self.rate)


class DropBlock(RandomLayer):
    """In training sets square blocks of each channel to zero, about a share `rate`, and scales the rest; x: (N, C, H, W).

    Reference: Ghiasi et al. 2018, arXiv 1810.12890, algorithm 1 and equation 1. Deviation: blocks may reach over the border.

    Args:
        block_size: height and width of a block, odd.
    """

    def __init__(self, rate: float, block_size: int = 3):
        super().__init__(rate)
        self.block_size = block_size
        self.spread = nn.MaxPool2d(kernel_size=block_size, stride=1, pad_mode="same")  # symmetric, as the size is odd

    def construct(self, x):
        if not self.training or self.uniform is None:
            return x
        return x * ops.cast(self.mask(x.shape), x.dtype)

    def mask(self, shape):
        """Factors for activations (N, C, H, W): 0 or a little more than 1, float32."""
        height, width = shape[2], shape[3]
        inside = max(height - self.block_size + 1, 1) * max(width - self.block_size + 1, 1)
        gamma = self.rate * height * width / (self.block_size**2 * inside)
        centers = ops.cast(self.uniform(shape) < gamma, ms.float32)
        kept = ops.stop_gradient(1 - self.spread(centers))
        return kept / (ops.mean(kept) + 1e-6)
