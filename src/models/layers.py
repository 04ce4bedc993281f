"""Layers that the blocks are made of. `ResNetSpec` explains `same_padding` (at `padding`) and `sync` (`sync_batch_norm`)."""

from typing import Any, Optional

import mindspore as ms
from mindspore import nn, ops
from mindspore.common.initializer import HeNormal, Uniform, initializer

from ..networks.spec import ResNetSpec
from .regularization import DropBlock, DropPath


class SplitConv2d(nn.Conv2d):
    """A grouped convolution without bias, one convolution per group: weight and results of `nn.Conv2d(group=...)`.

    MindSpore documents grouped convolution on Ascend for the depthwise case only; this form needs nothing of the kind.
    """

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.convolve = ops.Conv2D(
            out_channel=self.out_channels // self.group,
            kernel_size=self.kernel_size,
            pad_mode=self.pad_mode,
            pad=self.padding,
            stride=self.stride,
        )
        self.in_split = self.in_channels // self.group
        self.out_split = self.out_channels // self.group

    def construct(self, x):
        parts: tuple[Any, ...] = ()
        for part, weight in zip(ops.split(x, self.in_split, 1), ops.split(self.weight, self.out_split, 0)):
            parts += (self.convolve(part, weight),)
        return ops.concat(parts, 1)


class SyncBatchNorm2d(nn.SyncBatchNorm, nn.BatchNorm2d):
    """Batch norm over the images of all ranks. Ascend only.

    A BatchNorm2d too, as which mixed precision, frozen layers and kept statistics know it.
    """


def batch_norm(channels: int, sync: bool = False, kind: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.BatchNorm2d:
    """Batch normalization, epsilon 1e-5; running statistics move by 0.1 per step (MindSpore's momentum 0.9)."""
    return (SyncBatchNorm2d if sync else kind)(num_features=channels, eps=1e-5, momentum=0.9)


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
        in_channels: of the input.
        out_channels: of the output; half of those that are missing go in front, half behind.
        stride: 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        added_channels = out_channels - in_channels
        front = added_channels // 2
        # A 1x1 pool picks every second pixel; strided slices come out wrong in ONNX files of MindSpore 2.10.
        self.subsample = nn.MaxPool2d(kernel_size=1, stride=stride)
        self.pad = ops.Pad(((0, 0), (front, added_channels - front), (0, 0), (0, 0)))

    def construct(self, x):
        return self.pad(self.subsample(x))


class CeilAveragePool(nn.Cell):
    """2x2 average pool of stride 2; of an odd number of rows or columns the last is averaged by itself."""

    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)

    def construct(self, x):
        # Repeating the last row or column has the same effect as an incomplete window, and exports to ONNX.
        if x.shape[2] % 2:
            x = ops.concat((x, x[:, :, -1:, :]), 2)
        if x.shape[3] % 2:
            x = ops.concat((x, x[:, :, :, -1:]), 3)
        return self.pool(x)


class PaddedAveragePool(nn.Cell):
    """3x3 average pool with padding 1; padded zeros count. In a form that exports to ONNX."""

    def __init__(self, stride: int):
        super().__init__()
        self.pad = ops.Pad(((0, 0), (0, 0), (1, 1), (1, 1)))
        self.pool = nn.AvgPool2d(kernel_size=3, stride=stride)

    def construct(self, x):
        return self.pool(self.pad(x))


class SqueezeExcitation(nn.Cell):
    """Weighs the channels by what is seen in the whole image (Hu et al. 2017, arXiv 1709.01507, section 3; ratio 16).

    x: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(channels // 16 // 8 * 8, 8)
        self.fc1 = pointwise(channels, hidden)
        self.relu = nn.ReLU()
        self.fc2 = pointwise(hidden, channels)
        self.sigmoid = nn.Sigmoid()

    def construct(self, x):
        return x * self.weights(global_average_pool(x))

    def weights(self, pooled):
        """Means (N, C, 1, 1) -> weights of the channels, of the same shape."""
        return self.sigmoid(self.fc2(self.relu(self.fc1(pooled))))


class SplitAttention(nn.Cell):
    """Grouped 3x3 convolution whose `radix` splits are weighed against each other.

    Reference: Zhang et al. 2020, arXiv 2004.08955, section 3.1.

    x: (N, C, H, W) -> (N, C, H, W). Below, R is `radix` and K is `groups`, the cardinality.
    """

    def __init__(self, channels: int, spec: ResNetSpec, layers: "Layers", drop_block_rate: float):
        super().__init__()
        groups, radix = spec.groups, spec.radix
        self.groups, self.radix, self.channels = groups, radix, channels
        hidden = max(channels * radix // 4, 32)
        self.conv = layers.conv(channels, channels * radix, 3, groups=groups * radix)
        self.bn0 = layers.batch_norm(channels * radix, relu=True)
        self.drop_block = layers.drop_block(drop_block_rate)
        self.relu = layers.relu()
        self.fc1 = pointwise(channels, hidden, groups)
        self.bn1 = batch_norm(hidden, spec.sync_batch_norm)
        self.relu1 = nn.ReLU()
        self.fc2 = pointwise(hidden, channels * radix, groups)
        self.softmax = nn.Softmax(axis=1)
        self.sigmoid = nn.Sigmoid()

    def construct(self, x):
        x = self.relu(self.drop_block(self.bn0(self.conv(x))))  # (N, R * C, H, W)
        return self._sum_of_splits(x * self.weights(global_average_pool(self._sum_of_splits(x))))

    def weights(self, pooled):
        """Means of the splits' sum (N, C, 1, 1) -> weights of the splits' channels (N, R * C, 1, 1)."""
        scores = self.fc2(self.relu1(self.bn1(self.fc1(pooled))))
        if self.radix == 1:
            return self.sigmoid(scores)
        scores = scores.reshape((-1, self.groups, self.radix, self.channels // self.groups))
        weights = self.softmax(ops.cast(scores.transpose((0, 2, 1, 3)), ms.float32))  # (N, R, K, C / K)
        return ops.cast(weights.reshape((-1, self.radix * self.channels, 1, 1)), pooled.dtype)

    def _sum_of_splits(self, x):
        if self.radix == 1:
            return x
        splits = ops.split(x, self.channels, 1)  # R times (N, C, H, W)
        total = splits[0]
        for split in splits[1:]:
            total = total + split
        return total


def global_average_pool(x):
    """(N, C, H, W) -> (N, C, 1, 1), summed in float32 whatever the type of x: float16 overflows at 65,504."""
    return ops.cast(ops.mean(ops.cast(x, ms.float32), (2, 3), True), x.dtype)


class GlobalAveragePool(nn.Cell):
    """(N, C, H, W) -> (N, C)."""

    def construct(self, x):
        return ops.flatten(global_average_pool(x))


def pointwise(in_channels: int, out_channels: int, groups: int = 1) -> nn.Conv2d:
    """1x1 convolution with bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, pad_mode="valid", group=groups, has_bias=True)


class Layers:
    """What the blocks of a network are made of: MindSpore's own cells. blocked.py has others of the same kinds."""

    convolution: type[nn.Conv2d] = nn.Conv2d
    global_pool: type[nn.Cell] = GlobalAveragePool  # average over all pixels, (N, C)
    drop_block: type[nn.Cell] = DropBlock
    drop_path: type[nn.Cell] = DropPath  # stochastic depth of a residual branch
    squeeze_excitation: type[nn.Cell] = SqueezeExcitation  # attention to channels
    attention: type[nn.Cell] = SplitAttention
    pad_shortcut: type[nn.Cell] = PadShortcut  # the shortcut without parameters

    def __init__(self, spec: ResNetSpec):
        self.spec = spec

    def conv(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
        """Convolution without bias that keeps height and width at stride 1.

        Weights are drawn from N(0, 2 / (kernel_size^2 * out_channels / groups)), "fan out" of He et al. 2015,
        arXiv 1502.01852.
        """
        same = self.spec.padding == "same" and stride > 1 and kernel_size > 1
        return (SplitConv2d if self.spec.split_groups and groups > 1 else self.convolution)(
            in_channels,
            out_channels,
            kernel_size=kernel_size,
            stride=stride,
            pad_mode="same" if same else "pad",
            padding=0 if same else kernel_size // 2,
            group=groups,
            has_bias=False,
            weight_init=HeNormal(mode="fan_out", nonlinearity="relu"),
        )

    def batch_norm(self, channels: int, relu: bool = False) -> nn.BatchNorm2d:
        """Batch norm. Args: relu: whether `relu()` follows, which then may be a part of it."""
        return batch_norm(channels, self.spec.sync_batch_norm)

    def relu(self) -> nn.Cell:
        """What follows a batch norm with ReLU."""
        return nn.ReLU()

    def max_pool(self) -> nn.Cell:
        """3x3 max-pool of stride 2."""
        if self.spec.padding == "symmetric":
            return nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="pad", padding=1)
        return nn.MaxPool2d(kernel_size=3, stride=2, pad_mode="same")

    def average_pool(self, stride: int) -> nn.Cell:
        """3x3 average pool."""
        if self.spec.padding == "symmetric":
            return PaddedAveragePool(stride)
        return nn.AvgPool2d(kernel_size=3, stride=stride, pad_mode="same")

    def halving_pool(self) -> nn.Cell:
        """2x2 average pool of stride 2, of all pixels."""
        return CeilAveragePool()

    def split_attention(self, channels: int, drop_block_rate: float) -> nn.Cell:
        """Attention to splits."""
        return self.attention(channels, self.spec, self, drop_block_rate)

    def shortcut(self, in_channels: int, out_channels: int, stride: int) -> Optional[nn.Cell]:
        """The cell that fits a block's input to its output, None where they have the same shape."""
        if stride == 1 and in_channels == out_channels:
            return None
        if self.spec.shortcut == "pad":
            return self.pad_shortcut(in_channels, out_channels, stride)
        if self.spec.shortcut == "pooled":  # ResNet-D, He et al. 2018, arXiv 1812.01187
            pool = nn.Identity() if stride == 1 else self.halving_pool()
            return nn.SequentialCell(pool, self.conv(in_channels, out_channels, 1), self.batch_norm(out_channels))
        # the projection, option B of He et al. 2015
        return nn.SequentialCell(self.conv(in_channels, out_channels, 1, stride), self.batch_norm(out_channels))

    def deep_stem(self, width: int) -> nn.SequentialCell:
        """Three 3x3 convolutions in place of a 7x7, the first of stride 2 (He et al. 2018, arXiv 1812.01187, figure 2b)."""
        return nn.SequentialCell(
            self.conv(self.spec.in_channels, width, 3, 2),
            self.batch_norm(width, relu=True),
            self.relu(),
            self.conv(width, width, 3),
            self.batch_norm(width, relu=True),
            self.relu(),
            self.conv(width, 2 * width, 3),
        )
