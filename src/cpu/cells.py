"""Cells on activations in blocked layout, (N, C/b, H, W, b); parameters, their names and first values are MindSpore's."""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from . import operators
from .libraries import find


def _config(*values: Any) -> ms.Tensor:
    return ms.Tensor(np.array(values, np.float32 if any(isinstance(value, float) for value in values) else np.int32))


class Conv2d(nn.Conv2d):
    """Convolution without bias; takes a blocked tensor, or an image (N, 3, H, W), and gives a blocked one.

    Attributes:
        out_type: type of the result; None: that of the input. With bfloat16 on either side the products are bfloat16.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.same = self.pad_mode == "same"
        self.config = _config(self.stride[0], int(self.same), 0)
        self.give(None)

    def give(self, out_type: Any) -> None:
        """Sets the type of the result."""
        self.out_type = out_type
        self.convolve = operators.convolution(self.stride[0], self.same, out_type)

    def construct(self, x):
        return self.convolve(x, self.weight, self.config)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm, the sum with `other` if there is one, and ReLU where `fuse_relu` says so."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.normalize, self.normalize_add = operators.norm(), operators.norm_add()
        self.fuse_relu(False)

    def fuse_relu(self, relu: bool) -> None:
        """Sets whether ReLU follows."""
        self.relu = relu
        # epsilon, momentum, ReLU, whether the statistics are the batch's
        self.of_batch = _config(self.eps, 1 - self.momentum, float(relu), 1.0)
        self.of_run = _config(self.eps, 1 - self.momentum, float(relu), 0.0)

    def construct(self, x, other=None):
        of_batch = self.training if self.use_batch_statistics is None else self.use_batch_statistics
        config = self.of_batch if of_batch else self.of_run
        mean, variance = self.moving_mean, self.moving_variance
        if other is None:
            y, _, _, new_mean, new_variance = self.normalize(x, self.gamma, self.beta, mean, variance, config)
        else:
            y, _, _, new_mean, new_variance = self.normalize_add(x, self.gamma, self.beta, mean, variance, config, other)
        if of_batch:
            ops.assign(mean, new_mean)
            ops.assign(variance, new_variance)
        return y


class FoldedConv2d(nn.Cell):
    """A convolution and the batch norm after it, in evaluation mode, as one; takes what the batch norm takes."""

    def __init__(self, convolution: Conv2d, norm: BatchNorm2d):
        super().__init__()
        parts = (convolution.weight, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        self.names, self.eps = tuple(part.name for part in parts), norm.eps
        self.folded_weight = ms.Parameter(convolution.weight.value())
        self.folded_bias = ms.Parameter(norm.beta.value())
        stride, same = convolution.stride[0], convolution.same
        self.config = _config(stride, int(same), int(norm.relu))
        self.convolve = operators.folded_convolution(stride, same, False)
        self.convolve_add = operators.folded_convolution(stride, same, True)

    def take(self, values: dict[str, Any]) -> None:
        """Folds anew, from name -> array: w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma / sqrt(var + eps)."""
        weight, gamma, beta, mean, variance = (np.asarray(values[name], np.float64) for name in self.names)
        factor = gamma / np.sqrt(variance + self.eps)
        self.folded_weight.set_data(ms.Tensor((weight * factor[:, None, None, None]).astype(np.float32)))
        self.folded_bias.set_data(ms.Tensor((beta - mean * factor).astype(np.float32)))

    def construct(self, x, other=None):
        if other is None:
            return self.convolve(x, self.folded_weight, self.folded_bias, self.config)
        return self.convolve_add(x, self.folded_weight, self.folded_bias, self.config, other)


class Pool2d(nn.Cell):
    """Maximum, or average. Padding is (kernel - 1) / 2 zeros, which count in an average; or `same`, MindSpore's mode."""

    def __init__(self, kernel: int, stride: int, same: bool, maximum: bool):
        super().__init__()
        self.config = _config(kernel, stride, int(same), int(maximum))
        self.pool = operators.pool(kernel, stride, same)

    def construct(self, x):
        return self.pool(x, self.config)[0]


class GlobalAveragePool(nn.Cell):
    """x -> (N, C), float32."""

    def __init__(self):
        super().__init__()
        self.mean = operators.mean()

    def construct(self, x):
        return self.mean(x).reshape((x.shape[0], -1))


class Fork(nn.Cell):
    """x -> x, x: a tensor that is used twice, whose two gradients are added in one pass."""

    def __init__(self):
        super().__init__()
        self.total = operators.total()

    def construct(self, x):
        return x, x

    def bprop(self, x, out, dout):
        return (self.total(dout[0], dout[1]),)


class PadShortcut(nn.Cell):
    """Every `stride`-th pixel, with `added` channels of zeros, half of them in front."""

    def __init__(self, added: int, stride: int):
        super().__init__()
        self.config = _config(added // 2, stride)
        self.shortcut = operators.shortcut(added, stride)

    def construct(self, x):
        return self.shortcut(x, self.config)


class Blocked(nn.Cell):
    """A plain tensor (N, C, H, W) -> (N, C/b, H, W, b)."""

    def __init__(self):
        super().__init__()
        self.block = find().block

    def construct(self, x):
        n, c, h, w = x.shape
        return x.reshape((n, c // self.block, self.block, h, w)).transpose((0, 1, 3, 4, 2))
