"""Layers that the blocks are made of. Paddings are written as numbers: MindSpore's "same" pads unlike the papers'."""

from typing import Optional

import mindspore as ms
from mindspore import nn, ops
from mindspore.common.initializer import HeNormal, Uniform, initializer


def conv(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Convolution without bias that keeps height and width at stride 1.

    Weights are drawn from N(0, 2 / (kernel_size^2 * out_channels / groups)), "fan out" of He et al. 2015, arXiv 1502.01852.
    """
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        stride=stride,
        pad_mode="pad",
        padding=kernel_size // 2,
        group=groups,
        has_bias=False,
        weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
    )


def batch_norm(channels: int, scale: float = 1.0) -> nn.BatchNorm2d:
    """Batch normalisation, epsilon 1e-5; running statistics move by 0.1 per step (MindSpore's momentum 0.9)."""
    return nn.BatchNorm2d(num_features=channels, eps=1e-5, momentum=0.9, gamma_init=scale)


def dense(in_features: int, out_features: int) -> nn.Dense:
    """Linear layer, weights and bias drawn from U(-b, b) with b = 1 / sqrt(in_features), as PyTorch does."""
    bound = in_features**-0.5
    return nn.Dense(
        in_channels=in_features,
        out_channels=out_features,
        weight_init=initializer(Uniform(bound), (out_features, in_features), ms.float32),
        bias_init=initializer(Uniform(bound), (out_features,), ms.float32),
    )


class PadShortcut(nn.Cell):
    """Parameter-free shortcut: every second pixel, missing channels are zero (option A of He et al. 2015, section 3.3).

    Args:
        added_channels: number of zero channels; half of them go in front, half behind.
        stride: 1 or 2.
    """

    def __init__(self, added_channels: int, stride: int):
        super().__init__()
        front = added_channels // 2
        # A 1x1 pool picks every second pixel; strided slices come out wrong in ONNX files of MindSpore 2.10.
        self.subsample = nn.MaxPool2d(kernel_size=1, stride=stride)
        self.pad = ops.Pad(((0, 0), (front, added_channels - front), (0, 0), (0, 0)))

    def construct(self, x):
        return self.pad(self.subsample(x))


class ConvBatchNorm(nn.SequentialCell):
    """1x1 convolution and batch norm: the projection shortcut, option B of He et al. 2015."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__(conv(in_channels, out_channels, 1, stride), batch_norm(out_channels))


def shortcut(kind: str, in_channels: int, out_channels: int, stride: int) -> Optional[nn.Cell]:
    """The cell that fits a block's input to its output, None where they have the same shape."""
    if stride == 1 and in_channels == out_channels:
        return None
    if kind == "pad":
        return PadShortcut(out_channels - in_channels, stride)
    return ConvBatchNorm(in_channels, out_channels, stride)
