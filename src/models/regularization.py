"""Dropout and DropBlock. Their masks repeat with the seed of the run, unlike `nn.Dropout`'s on the CPU (MindSpore 2.10)."""

import mindspore as ms
from mindspore import nn, ops


class Dropout(nn.Cell):
    """In training sets a share `rate` of the values to zero and scales the others by 1 / (1 - rate); otherwise does nothing.

    Reference: Srivastava et al. 2014, JMLR 15, section 10 (the scaled form).
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate
        self.uniform = ops.UniformReal(seed=_seed(), seed2=1)

    def construct(self, x):
        if not self.training or self.rate == 0:
            return x
        kept = ops.cast(self.uniform(x.shape) >= self.rate, x.dtype)
        return x * ops.stop_gradient(kept) / (1 - self.rate)


class DropBlock(nn.Cell):
    """In training sets square blocks of each channel to zero, about a share `rate`, and scales the rest; x: (N, C, H, W).

    Reference: Ghiasi et al. 2018, arXiv 1810.12890, algorithm 1 and equation 1. Deviation: blocks may reach over the border.

    Args:
        block_size: height and width of a block, odd.
    """

    def __init__(self, rate: float, block_size: int = 3):
        super().__init__()
        self.rate = rate
        self.block_size = block_size
        self.number(0)
        self.spread = nn.MaxPool2d(kernel_size=block_size, stride=1, pad_mode="same")  # symmetric, as the size is odd

    def number(self, number: int) -> None:
        """Tells this layer's masks from those of the network's other ones."""
        self.uniform = ops.UniformReal(seed=_seed(), seed2=1000 + number)

    def construct(self, x):
        if not self.training or self.rate == 0:
            return x
        height, width = x.shape[2], x.shape[3]
        inside = max(height - self.block_size + 1, 1) * max(width - self.block_size + 1, 1)
        gamma = self.rate * height * width / (self.block_size**2 * inside)
        centres = ops.cast(self.uniform(x.shape) < gamma, ms.float32)
        kept = ops.stop_gradient(1 - self.spread(centres))
        return x * ops.cast(kept / (ops.mean(kept) + 1e-6), x.dtype)


def _seed() -> int:
    """The seed of the run; MindSpore's generators take 0 for "any"."""
    return (ms.get_seed() or 0) + 1
