"""The networks on activations in blocked layout, (N, C/b, H, W, b), for the CPU: src/cpu's cells in place of MindSpore's.

Parameters, their names and their first values are those of the stock network. A batch norm takes in the ReLU after it, and
at a block's end the sum with the shortcut.
"""

from typing import Any

import mindspore as ms
from mindspore import nn, ops

from ..cpu import cells, operators
from ..cpu.libraries import find
from . import layers, regularization, resnet
from .folding import fold_pairs, folded


class DropBlock(regularization.DropBlock):
    """As the stock one, with its masks."""

    def construct(self, x):
        if not self.training or self.uniform is None:
            return x
        n, blocks, height, width, block = x.shape
        mask = self.mask((n, blocks * block, height, width)).reshape((n, blocks, block, height, width))
        return ops.cast(ops.cast(x, ms.float32) * mask.transpose((0, 1, 3, 4, 2)), x.dtype)


class DropPath(regularization.DropPath):
    """Activations -> their factors (N, C/b, 1, 1, b): the stock one's 0 or 1 / (1 - rate), per image."""

    def construct(self, x):
        n, blocks, _, _, block = x.shape
        if not self.training or self.uniform is None:
            return ops.ones((n, blocks, 1, 1, block), ms.float32)
        kept = ops.stop_gradient(ops.cast(self.uniform((n, 1, 1, 1)) >= self.rate, ms.float32)) / (1 - self.rate)
        return ops.broadcast_to(kept.reshape((n, 1, 1, 1, 1)), (n, blocks, 1, 1, block))


class SqueezeExcitation(layers.SqueezeExcitation):
    """Activations -> the weights of their channels, (N, C/b, 1, 1, b)."""

    def __init__(self, channels: int):
        super().__init__(channels)
        self.mean = operators.mean()

    def construct(self, x):
        means = self.mean(x)
        return self.weights(means.reshape((x.shape[0], -1, 1, 1))).reshape(means.shape)


class SplitAttention(layers.SplitAttention):
    """As the stock one. Splits are runs of channel blocks; the mean of their sum is the sum of their means."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.fork, self.mean, self.scale = cells.Fork(), operators.mean(), operators.scale(self.radix)

    def construct(self, x):
        x, pooled = self.fork(self.drop_block(self.bn0(self.conv(x))))  # (N, R * C/b, H, W, b)
        means = self.mean(pooled)
        pooled = means.reshape((x.shape[0], self.radix, self.channels)).sum(1).reshape((x.shape[0], self.channels, 1, 1))
        return self.scale(x, self.weights(pooled).reshape(means.shape))


class BlockedLayers(layers.Layers):
    """Layers on blocked activations."""

    convolution = cells.Conv2d
    global_pool = cells.GlobalAveragePool
    drop_block = DropBlock
    drop_path = DropPath
    squeeze_excitation = SqueezeExcitation
    attention = SplitAttention
    pad_shortcut = cells.PadShortcut

    def batch_norm(self, channels: int, relu: bool = False) -> nn.BatchNorm2d:
        norm = layers.batch_norm(channels, kind=cells.BatchNorm2d)
        norm.fuse_relu(relu)
        return norm

    def relu(self) -> nn.Cell:
        return nn.Identity()

    def max_pool(self) -> nn.Cell:
        return cells.Pool2d(3, 2, self.spec.padding != "symmetric", True)

    def average_pool(self, stride: int) -> nn.Cell:
        return cells.Pool2d(3, stride, self.spec.padding != "symmetric", False)

    def halving_pool(self) -> nn.Cell:
        return cells.Pool2d(2, 2, True, False)


class _Ends:
    """The ends of a block: the sum of the input's gradients in one pass, and that of branch and shortcut."""

    def fuse(self, norm: cells.BatchNorm2d, plain: bool) -> None:
        """Args: plain: whether nothing comes between the branch's last batch norm and the sum."""
        self.fork, self.add, self.plain = cells.Fork(), operators.scale_add(), plain
        norm.fuse_relu(plain)

    def split(self, x):
        return self.fork(x)


class BasicBlock(_Ends, resnet.BasicBlock):
    """The stock block with fused ends."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.fuse(self.bn2, not self.drop_path.rate)

    def join(self, y, identity):
        if self.plain:
            return self.bn2(y, identity)
        y = self.bn2(y)
        return self.add(y, self.drop_path(y), identity)


class Bottleneck(_Ends, resnet.Bottleneck):
    """The stock block with fused ends."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.fuse(self.bn3, self.se is None and not self.drop_path.rate)

    def join(self, y, identity):
        if self.plain:
            return self.bn3(y, identity)
        y = self.bn3(y)
        if self.se is None:
            return self.add(y, self.drop_path(y), identity)
        y, seen = self.fork(y)
        factors = self.se(seen)
        if self.drop_path.rate:
            factors = factors * self.drop_path(y)
        return self.add(y, factors, identity)


class SplitBottleneck(_Ends, resnet.SplitBottleneck):
    """The stock block with fused ends."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.fuse(self.bn3, not (self.drop_path.rate or self.drop_block3.rate))

    def join(self, y, identity):
        if self.plain:
            return self.bn3(y, identity)
        y = self.drop_block3(self.bn3(y))
        return self.add(y, self.drop_path(y), identity)


BLOCKED_BLOCKS: dict[str, Any] = {"basic": BasicBlock, "bottleneck": Bottleneck, "split": SplitBottleneck}


def is_blocked(network: nn.Cell) -> bool:
    """Whether a network is made of these layers."""
    return isinstance(network.bn1, cells.BatchNorm2d)


def compute_in_bfloat16(network: nn.Cell) -> nn.Cell:
    """Makes the activations bfloat16 from the first convolution to the last pool; sums, statistics, weights stay float32.

    With AMX they have channels last, the only form that oneDNN's kernels for it take.
    """
    for _, cell in network.cells_and_names():
        if isinstance(cell, (cells.Conv2d, cells.PadShortcut)):
            cell.give(ms.bfloat16, find().has_amx)
    return network


def fold(network: nn.Cell) -> nn.Cell:
    """Makes one operation of every convolution and the batch norm after it, for evaluation; changes `network` itself."""
    fold_pairs(network, lambda convolution, norm: (nn.Identity(), cells.FoldedConv2d(convolution, norm)))
    for path, cell in network.cells_and_names():
        if isinstance(cell, cells.FoldedConv2d):
            # Their names tell the place in the block alone. Where two are the same, MindSpore renames every parameter of the
            # network when it compiles, and `take_weights` would not know the classifier by its name any more.
            for parameter in cell.get_parameters():
                parameter.name = f"{path}.{parameter.name.rpartition('.')[2]}"
    return network.set_train(False)


def plain(stage: Any) -> Any:
    """Activations as (N, C, H, W), of a network of these layers (N, C/b, H, W, b) or of MindSpore's own."""
    if stage.ndim == 4:
        return stage
    n, blocks, height, width, block = stage.shape
    return stage.transpose(0, 1, 4, 2, 3).reshape(n, blocks * block, height, width)


def take_weights(network: nn.Cell, values: dict[str, Any]) -> None:
    """Gives a folded network the weights of a network of the same kind, name -> array."""
    for _, cell in network.cells_and_names():
        if isinstance(cell, cells.FoldedConv2d):
            weight, *norm = (values[name] for name in cell.names)
            for parameter, value in zip(cell.get_parameters(), folded(weight, tuple(norm), cell.eps)):
                parameter.set_data(ms.Tensor(value))
    for parameter in network.get_parameters():
        if parameter.name in values:
            parameter.set_data(ms.Tensor(values[parameter.name]))
