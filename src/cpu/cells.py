"""Cells on activations in blocked layout, (N, C/b, H, W, b); parameters, their names and first values are MindSpore's."""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from . import operators


def _config(*values: Any) -> ms.Tensor:
    return ms.Tensor(np.array(values, np.float32 if any(isinstance(value, float) for value in values) else np.int32))


class Conv2d(nn.Conv2d):
    """Convolution without bias; takes a blocked tensor, or an image (N, 3, H, W), and gives a blocked one."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.same = self.pad_mode == "same"
        self.config = _config(self.stride[0], int(self.same), 0)
        self.give(ms.float32, False)

    def give(self, out_type: Any, channels_last: bool) -> None:
        """Sets type and form of the result. With bfloat16 on either side the products are bfloat16."""
        self.convolve = operators.convolution(self.stride[0], self.same, out_type, channels_last)

    def construct(self, x):
        return self.convolve(self.config, x, self.weight)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm, the sum with `other` if there is one, and ReLU where `fuse_relu` says so."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.normalize, self.normalize_add = operators.norm(False), operators.norm(True)
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
            y, _, _, new_mean, new_variance = self.normalize(config, x, self.gamma, self.beta, mean, variance)
        else:
            y, _, _, new_mean, new_variance = self.normalize_add(config, x, self.gamma, self.beta, mean, variance, other)
        if of_batch:
            ops.assign(mean, new_mean)
            ops.assign(variance, new_variance)
        return y


class FoldedConv2d(nn.Cell):
    """A convolution and the batch norm after it, in evaluation mode, as one; takes what the batch norm takes.

    Attributes:
        names: of the parameters that the folded weight and bias are made of.
    """

    def __init__(self, convolution: Conv2d, norm: BatchNorm2d):
        super().__init__()
        parts = (convolution.weight, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        self.names, self.eps = tuple(part.name for part in parts), norm.eps
        self.folded_weight = ms.Parameter(convolution.weight.value())
        self.folded_bias = ms.Parameter(norm.beta.value())
        stride, same = convolution.stride[0], convolution.same
        self.config = _config(stride, int(same), int(norm.relu))
        self.convolve = operators.convolution(stride, same)

    def construct(self, x, other=None):
        if other is None:
            return self.convolve(self.config, x, self.folded_weight, self.folded_bias)
        return self.convolve(self.config, x, self.folded_weight, self.folded_bias, other)


class Pool2d(nn.Cell):
    """Maximum, or average. Padding is (kernel - 1) / 2 zeros, which count in an average; or `same`, MindSpore's mode."""

    def __init__(self, kernel: int, stride: int, same: bool, maximum: bool):
        super().__init__()
        self.config = _config(kernel, stride, int(same), int(maximum))
        self.pool = operators.pool(kernel, stride, same)

    def construct(self, x):
        return self.pool(self.config, x)[0]


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
    """Every `stride`-th pixel, with missing channels of zeros, half of them in front: a convolution with zeros and ones."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        moved = np.eye(out_channels, in_channels, (in_channels - out_channels) // 2, np.float32)
        self.weight = ms.Tensor(moved[:, :, None, None])
        self.stride, self.config = stride, _config(stride, 0, 0)
        self.give(ms.float32, False)

    def give(self, out_type: Any, channels_last: bool) -> None:
        """Sets type and form of the result."""
        self.convolve = operators.convolution(self.stride, False, out_type, channels_last)

    def construct(self, x):
        return self.convolve(self.config, x, self.weight)
