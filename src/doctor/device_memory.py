"""How much memory a step of training needs, from the shapes of the network alone.

Kept from the forward to the backward pass are, of every convolution with its batch norm and ReLU, the convolution's output
(batch norm's gradient needs it) and ReLU's (its own gradient and the next convolution's need it); of pools their input.
Weights, their gradients and the optimizer's state come on top. The most is in use where the backward pass begins, at the
last layers, whose own activations are small; at the large first ones, most of the others are freed again. Networks with
split attention or squeeze-and-excitation were measured to take more, on the CPU with MindSpore 2.10, as if nothing of the
forward pass were freed until then; what is counted for that was fitted to the measurement, the reason was not looked for.
`benchmarks/memory.py` compares the sum with what a CPU takes, a test with what it took.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..networks.registry import find_model
from ..networks.spec import ResNetSpec

if TYPE_CHECKING:
    from ..config import Config

_FLOAT32, _FLOAT16 = 4, 2
_HALF = ("O2", "O3", "auto")  # amp_level whose activations are in 16 bits
_AROUND_SQUEEZE = 5  # activations of a block's size, fitted
_OPTIMIZER_STATES = {"momentum": 1, "lars": 1, "adamw": 2, "lamb": 2}


@dataclass
class Shapes:
    """What a network is made of, counted layer by layer.

    Attributes:
        height, width, channels: of the activation at the end of what was counted.
        parameters: trainable weights.
        kept: numbers per image that wait for the backward pass.
        frees: whether the forward pass frees what the backward pass does not need: the outputs of batch norm and of sums.
    """

    height: int
    width: int
    channels: int = 3
    parameters: int = 0
    kept: int = 0
    frees: bool = True

    @property
    def size(self) -> int:
        """Numbers of the present activation of one image."""
        return self.height * self.width * self.channels

    def shrink(self, stride: int) -> None:
        """A window of this stride; padding is such that the size is divided, rounded up."""
        self.height, self.width = -(-self.height // stride), -(-self.width // stride)

    def conv(self, channels: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True) -> None:
        """A convolution with batch norm, and with a ReLU or without."""
        self.parameters += channels * (self.channels // groups) * kernel**2 + 2 * channels
        self.channels = channels
        self.shrink(stride)
        self.kept += self.size * (2 if relu else 1)
        self.passing()

    def pointwise(self, inputs: int, channels: int, groups: int = 1) -> None:
        """A 1x1 convolution with bias on pooled features, whose activations are too small to count."""
        self.parameters += channels * (inputs // groups) + channels

    def keep(self) -> None:
        """The present activation waits for the backward pass once more."""
        self.kept += self.size

    def passing(self) -> None:
        """An activation like the present one, which the backward pass does not need."""
        self.kept += 0 if self.frees else self.size


def shapes_of(spec: ResNetSpec, num_classes: int, height: int, width: int) -> Shapes:
    """Weights and kept activations of a network on one image."""
    shapes = Shapes(height, width, spec.in_channels, frees=spec.block != "split" and not spec.squeeze)
    if spec.stem == "cifar":
        shapes.conv(spec.width, 3)
    elif spec.stem == "deep":
        shapes.conv(spec.stem_width, 3, 2)
        shapes.conv(spec.stem_width, 3)
        shapes.conv(2 * spec.stem_width, 3)
    else:
        shapes.conv(spec.width, 7, 2)
    if spec.stem != "cifar":
        shapes.shrink(2)
        shapes.keep()  # the max-pool's output
    for stage, blocks in enumerate(spec.stage_sizes):
        for index in range(blocks):
            _block(shapes, spec, spec.width * 2**stage, 2 if stage and index == 0 else 1)
    shapes.parameters += (shapes.channels + 1) * num_classes
    return shapes


def _block(shapes: Shapes, spec: ResNetSpec, channels: int, stride: int) -> None:
    source = (shapes.height, shapes.width, shapes.channels)
    if spec.block == "basic":
        shapes.conv(channels, 3, stride)
        shapes.conv(channels, 3, relu=False)
    else:
        width = channels * spec.base_width // 64 * spec.groups
        shapes.conv(width, 1)
        if spec.block == "split":
            _split_attention(shapes, spec, width, stride)
        else:
            shapes.conv(width, 3, stride, spec.groups)
        shapes.conv(4 * channels, 1, relu=False)
        if spec.squeeze:
            hidden = max(shapes.channels // 16 // 8 * 8, 8)
            shapes.pointwise(shapes.channels, hidden)
            shapes.pointwise(hidden, shapes.channels)
            shapes.keep()  # what is weighed
            for _ in range(_AROUND_SQUEEZE):
                shapes.passing()
    shapes.passing()  # the sum of both branches
    shapes.keep()  # the ReLU behind it
    _shortcut(shapes, spec, source, stride)


def _split_attention(shapes: Shapes, spec: ResNetSpec, width: int, stride: int) -> None:
    if stride > 1 and spec.pool_first:
        shapes.keep()  # padded, for the pool's gradient
        shapes.shrink(stride)
        shapes.keep()
    shapes.conv(width * spec.radix, 3, groups=spec.groups * spec.radix)
    hidden = max(width * spec.radix // 4, 32)
    shapes.pointwise(width, hidden, spec.groups)
    shapes.parameters += 2 * hidden
    if spec.radix > 1:
        for _ in range(3):  # the splits, weighed, and as splits again
            shapes.passing()
    shapes.pointwise(hidden, width * spec.radix, spec.groups)
    shapes.channels = width
    shapes.keep()  # the sum of the weighed splits
    if stride > 1 and not spec.pool_first:
        shapes.keep()  # padded
        shapes.shrink(stride)
        shapes.keep()


def _shortcut(shapes: Shapes, spec: ResNetSpec, source: tuple[int, int, int], stride: int) -> None:
    """The convolution beside a block that changes the shape; what comes behind the block has the same shape as it."""
    height, width, channels = source
    if (stride == 1 and channels == shapes.channels) or spec.shortcut == "pad":
        return
    beside = Shapes(height, width, channels, frees=shapes.frees)
    if spec.shortcut == "pooled":
        beside.shrink(stride)
        beside.keep()
        stride = 1
    beside.conv(shapes.channels, 1, stride, relu=False)
    shapes.parameters += beside.parameters
    shapes.kept += beside.kept


def training_bytes(config: "Config") -> int:
    """Bytes that a step of training takes on a device, as an estimate."""
    spec = replace(find_model(config.backbone), in_channels=config.in_channels)
    height, width = config.largest_crop
    shapes = shapes_of(spec, config.num_classes, height, width)
    copies = 2 + _OPTIMIZER_STATES[config.optimizer] + (config.accumulate_steps > 1) + (config.ema_decay > 0)
    number = _FLOAT16 if config.amp_level in _HALF else _FLOAT32
    images = config.per_batch_size * (shapes.kept * number + spec.in_channels * height * width * _FLOAT32)
    return shapes.parameters * _FLOAT32 * copies + images
