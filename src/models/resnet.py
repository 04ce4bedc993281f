"""The ResNet family: one trunk, three blocks.

References:
    He et al. 2015, arXiv 1512.03385 (ResNet); Xie et al. 2016, arXiv 1611.05431 (ResNeXt, form (c) of figure 3);
    Zagoruyko and Komodakis 2016, arXiv 1605.07146 (Wide-ResNet); Hu et al. 2017, arXiv 1709.01507 (SE); He et al. 2018,
    arXiv 1812.01187 (ResNet-D); Zhang et al. 2020, arXiv 2004.08955 (ResNeSt).

Deviation from the first paper, shared with torchvision: in a bottleneck that halves the image the stride sits on the 3x3
convolution, not on the first 1x1 ("v1.5"). Parameters bear torchvision's names (`layer1.0.bn1.running_mean`), so weights
move between the two by name.

Shapes: N images, C channels, H x W pixels.
"""

from typing import Any

from mindspore import nn

from ..checkpoint import STATE_PREFIX
from ..networks.spec import ResNetSpec
from .layers import Layers, dense
from .regularization import CALLS, Dropout, number_random_layers

_TORCH_NAMES = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


class Block(nn.Cell):
    """What the blocks share: a residual branch beside a shortcut. Its ends are methods, for layers that fuse them."""

    downsample: Any

    def split(self, x):
        """The input of the branch and that of the shortcut."""
        return x, x

    def construct(self, x):
        x, identity = self.split(x)
        if self.downsample is not None:
            identity = self.downsample(identity)
        return self.join(self.branch(x), identity)


class BasicBlock(Block):
    """Two 3x3 convolutions around a shortcut (He et al. 2015, figure 5 left). `channels` in and out of the second."""

    expansion = 1

    def __init__(
        self, in_channels: int, channels: int, stride: int, spec: ResNetSpec, layers: Layers, drop_path_rate: float = 0.0
    ):  # fmt: skip
        super().__init__()
        self.conv1 = layers.conv(in_channels, channels, 3, stride)
        self.bn1 = layers.batch_norm(channels, relu=True)
        self.conv2 = layers.conv(channels, channels, 3)
        self.bn2 = layers.batch_norm(channels)
        self.drop_path = layers.drop_path(drop_path_rate)
        self.relu = layers.relu()
        self.downsample = layers.shortcut(in_channels, channels, stride)

    def branch(self, x):
        """Up to the last convolution."""
        return self.conv2(self.relu(self.bn1(self.conv1(x))))

    def join(self, y, identity):
        """The end of the branch and of the block."""
        return self.relu(identity + self.drop_path(self.bn2(y)))


class Bottleneck(Block):
    """1x1, grouped 3x3, 1x1 around a shortcut (He et al. 2015, figure 5 right; Xie et al. 2016, figure 3c).

    `channels` is the stage's width; the 3x3 convolution has channels * base_width / 64 * groups, the output 4 * channels.
    """

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, spec: ResNetSpec, layers: Layers, drop_path_rate: float = 0.0
    ):  # fmt: skip
        super().__init__()
        width = channels * spec.base_width // 64 * spec.groups
        out_channels = channels * self.expansion
        self.conv1 = layers.conv(in_channels, width, 1)
        self.bn1 = layers.batch_norm(width, relu=True)
        self.conv2 = layers.conv(width, width, 3, stride, spec.groups)
        self.bn2 = layers.batch_norm(width, relu=True)
        self.conv3 = layers.conv(width, out_channels, 1)
        self.bn3 = layers.batch_norm(out_channels)
        self.se = layers.squeeze_excitation(out_channels) if spec.squeeze else None
        self.drop_path = layers.drop_path(drop_path_rate)
        self.relu = layers.relu()
        self.downsample = layers.shortcut(in_channels, out_channels, stride)

    def branch(self, x):
        """Up to the last convolution."""
        y = self.relu(self.bn1(self.conv1(x)))
        return self.conv3(self.relu(self.bn2(self.conv2(y))))

    def join(self, y, identity):
        """The end of the branch and of the block."""
        y = self.bn3(y)
        if self.se is not None:
            y = self.se(y)
        return self.relu(identity + self.drop_path(y))


class SplitBottleneck(Block):
    """1x1, split attention, 1x1 around a shortcut; a 3x3 average pool halves the image (Zhang et al. 2020, section 3.2)."""

    expansion = 4

    def __init__(
        self, in_channels: int, channels: int, stride: int, spec: ResNetSpec, layers: Layers, drop_path_rate: float = 0.0
    ):  # fmt: skip
        super().__init__()
        width = channels * spec.base_width // 64 * spec.groups
        out_channels = channels * self.expansion
        rate = spec.drop_block_rate if channels >= 4 * spec.width else 0.0  # in the last two of four stages
        pool = nn.Identity() if stride == 1 else layers.average_pool(stride)
        self.conv1 = layers.conv(in_channels, width, 1)
        self.bn1 = layers.batch_norm(width, relu=True)
        self.drop_block1 = layers.drop_block(rate)
        self.avd_first = pool if spec.pool_first else nn.Identity()
        self.conv2 = layers.split_attention(width, rate)
        self.avd_last = nn.Identity() if spec.pool_first else pool
        self.conv3 = layers.conv(width, out_channels, 1)
        self.bn3 = layers.batch_norm(out_channels)
        self.drop_block3 = layers.drop_block(rate)
        self.drop_path = layers.drop_path(drop_path_rate)
        self.relu = layers.relu()
        self.downsample = layers.shortcut(in_channels, out_channels, stride)

    def branch(self, x):
        """Up to the last convolution."""
        y = self.relu(self.drop_block1(self.bn1(self.conv1(x))))
        return self.conv3(self.avd_last(self.conv2(self.avd_first(y))))

    def join(self, y, identity):
        """The end of the branch and of the block."""
        return self.relu(identity + self.drop_path(self.drop_block3(self.bn3(y))))


BLOCKS: dict[str, Any] = {"basic": BasicBlock, "bottleneck": Bottleneck, "split": SplitBottleneck}


class ResNet(nn.Cell):
    """The trunk: stem, stages of blocks, global average pooling, linear classifier.

    Args:
        spec: which network of the family.
        num_classes: number of logits.
        layers: what it is made of.
        blocks: `spec.block` -> the block's class.

    Inputs: images (N, spec.in_channels, H, W), float32, normalized; H and W are 32 or more with the imagenet stem, 4 or more
        with cifar's.
    Outputs: logits (N, num_classes), float32.
    """

    def __init__(self, spec: ResNetSpec, num_classes: int, layers: Layers, blocks: dict[str, Any]):
        super().__init__()
        self.padding = spec.padding
        block = blocks[spec.block]
        in_channels = spec.width
        if spec.stem == "cifar":
            self.conv1 = layers.conv(spec.in_channels, in_channels, 3)
            self.maxpool = None
        else:
            self.maxpool = layers.max_pool()
            if spec.stem == "deep":
                in_channels = 2 * spec.stem_width
                self.conv1 = layers.deep_stem(spec.stem_width)
            else:
                self.conv1 = layers.conv(spec.in_channels, in_channels, 7, 2)
        self.bn1 = layers.batch_norm(in_channels, relu=True)
        self.relu = layers.relu()

        stages, total = [], sum(spec.stage_sizes)
        for stage, size in enumerate(spec.stage_sizes):
            channels = spec.width * 2**stage
            stage_blocks = []
            for index in range(size):
                stride = 2 if stage > 0 and index == 0 else 1
                # grows with the depth (Huang et al. 2016, section 3, counted as timm does: 0 for the first block)
                depth = (sum(spec.stage_sizes[:stage]) + index) / max(total - 1, 1)
                stage_blocks.append(block(in_channels, channels, stride, spec, layers, depth * spec.drop_path_rate))
                in_channels = channels * block.expansion
            stages.append(nn.SequentialCell(stage_blocks))
            setattr(self, f"layer{stage + 1}", stages[-1])
        self.num_stages = len(stages)
        self.global_pool = layers.global_pool()
        self.dropout = Dropout(spec.drop_rate)
        self.fc = dense(in_channels, num_classes)
        number_random_layers(self)
        name_parameters_like_torch(self)

    def construct(self, x):
        return self.classify(self.last_stage(x))

    def last_stage(self, x):
        """Images -> the output of the last stage (N, C, h, w)."""
        x = self.relu(self.bn1(self.conv1(x)))  # (N, width, H/2, W/2), or (N, width, H, W) with cifar's stem
        if self.maxpool is not None:
            x = self.maxpool(x)
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.num_stages == 4:
            x = self.layer4(x)
        return x

    def classify(self, x):
        """The output of the last stage -> logits."""
        return self.fc(self.dropout(self.global_pool(x)))


class LastStageAndLogits(nn.Cell):
    """A network that also gives what its last stage says: images -> (last stage's output (N, C, h, w), logits)."""

    def __init__(self, network: ResNet):
        super().__init__(auto_prefix=False)
        self.network = network

    def construct(self, x):
        stage = self.network.last_stage(x)
        return stage, self.network.classify(stage)


def name_parameters_like_torch(network: nn.Cell) -> None:
    """Gives batch-norm parameters their names in PyTorch; those of convolutions and linear layers are the same in both.

    Counters of random layers, which only training needs, are marked as such.
    """
    for path, parameter in network.parameters_and_names():
        owner, _, name = path.rpartition(".")
        prefix = STATE_PREFIX if name == CALLS else ""
        parameter.name = f"{prefix}{owner}.{_TORCH_NAMES.get(name, name)}"
