"""What distinguishes the networks of the family, as data."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ResNetSpec:
    """What distinguishes one network of the family from another.

    Attributes:
        block: "basic" (two 3x3 convolutions) or "bottleneck" (1x1, 3x3, 1x1).
        stage_sizes: blocks per stage; each stage but the first halves height and width.
        reference: the paper, and where in it the network is defined.
        groups: groups of the 3x3 convolution, the cardinality of ResNeXt.
        base_width: width per group of a bottleneck whose stage is 64 channels wide.
        stem: "imagenet" (7x7 convolution of stride 2, max-pool) or "cifar" (3x3 convolution).
        width: channels of the stem and of the first stage.
        shortcut: "projection" (1x1 convolution, option B of He et al. 2015) or "pad" (zero channels, option A).
        image_size: height and width that the published network takes, in pixels.
    """

    block: str
    stage_sizes: tuple
    reference: str
    groups: int = 1
    base_width: int = 64
    stem: str = "imagenet"
    width: int = 64
    shortcut: str = "projection"
    image_size: int = 224
