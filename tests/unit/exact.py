"""Stock cells computing in float64, which MindSpore's convolutions do not on a CPU: what rounding is measured against."""

from types import SimpleNamespace
from unittest import mock

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from src.models import layers


def double(parameter) -> ms.Parameter:
    return ms.Parameter(ms.Tensor(parameter.asnumpy().astype(np.float64)), name=parameter.name)


def windows(x, kernel, stride, same):
    """For every place in a window, the pixels (N, C, windows) that lie there; zeros of the padding among them."""
    pick = []  # for rows and for columns, per place: matrices of zeros and ones (pixels, windows)
    for size in x.shape[2:]:
        count = -(-size // stride)
        before = max((count - 1) * stride + kernel - size, 0) // 2 if same else (kernel - 1) // 2
        first = np.arange(count) * stride - before
        pick.append([(np.arange(size)[:, None] == first + place).astype(np.float64) for place in range(kernel)])
    pixels = x.reshape((-1, x.shape[2] * x.shape[3]))
    picked = [ops.matmul(pixels, ms.Tensor(np.kron(rows, columns))) for rows in pick[0] for columns in pick[1]]
    return [each.reshape((*x.shape[:2], -1)) for each in picked]


class Convolution(nn.Cell):
    def __init__(self, cell):
        super().__init__()
        self.weight, self.bias = double(cell.weight), double(cell.bias) if cell.has_bias else None
        self.groups, self.kernel, self.stride, self.same = (
            cell.group,
            cell.kernel_size[0],
            cell.stride[0],
            cell.pad_mode == "same",
        )

    def construct(self, x):
        weight = self.weight.reshape((1, self.groups, -1, self.weight.shape[1], self.kernel**2))
        y = 0
        for place, pixels in enumerate(windows(x, self.kernel, self.stride, self.same)):
            y = y + ops.matmul(weight[..., place], pixels.reshape((len(x), self.groups, weight.shape[3], -1)))
        y = y.reshape((len(x), -1, *(-(-size // self.stride) for size in x.shape[2:])))
        return y if self.bias is None else y + self.bias.reshape((-1, 1, 1))


class BatchNorm(nn.Cell):
    """In training; without running statistics."""

    def __init__(self, cell):
        super().__init__()
        self.gamma, self.beta, self.eps = double(cell.gamma), double(cell.beta), cell.eps

    def construct(self, x):
        centered = x - x.mean((0, 2, 3), True)
        scale = self.gamma.reshape((-1, 1, 1)) / ops.sqrt((centered * centered).mean((0, 2, 3), True) + self.eps)
        return centered * scale + self.beta.reshape((-1, 1, 1))


class AveragePool(nn.Cell):
    """Zeros of a padding count. Of one pixel a pool of maxima too."""

    def __init__(self, cell):
        super().__init__()
        pool = getattr(cell, "pool", cell)
        self.sizes = pool.kernel_size, pool.stride

    def construct(self, x):
        places = windows(x, *self.sizes, False)
        mean = sum(places[1:], places[0]) / len(places)
        return mean.reshape((*x.shape[:2], *(-(-size // self.sizes[1]) for size in x.shape[2:])))


KINDS = {nn.Conv2d: Convolution, nn.BatchNorm2d: BatchNorm, nn.AvgPool2d: AveragePool, nn.MaxPool2d: AveragePool}
KINDS[layers.PaddedAveragePool] = AveragePool


class InFloat64(nn.Cell):
    """The layers of src/models sum in float32, whatever they are given; here in float64."""

    def __init__(self, cell):
        super().__init__(auto_prefix=False)
        self.cell = cell

    def construct(self, *inputs):
        with mock.patch.object(layers, "ms", SimpleNamespace(float32=ms.float64)):
            return self.cell(*inputs)


def in_float64(cell: nn.Cell) -> nn.Cell:
    """A stock cell in float64, for PyNative mode; changes `cell` itself."""
    for _, parent in list(cell.cells_and_names()):
        for name, child in list(parent.name_cells().items()):
            if (made := KINDS.get(type(child))) and not isinstance(parent, layers.DropBlock):
                if isinstance(parent, nn.SequentialCell):
                    parent[int(name)] = made(child)
                else:
                    setattr(parent, name, made(child))
    return InFloat64(cell)
