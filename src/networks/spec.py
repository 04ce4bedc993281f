"""What distinguishes the networks of the family, as data."""

from dataclasses import dataclass

PADDINGS = ("symmetric", "same_pools", "same")


@dataclass(frozen=True)
class ResNetSpec:
    """What distinguishes one network of the family from another.

    Attributes:
        block: "basic" (two 3x3 convolutions), "bottleneck" (1x1, 3x3, 1x1) or "split" (bottleneck with split attention).
        stage_sizes: blocks per stage; each stage but the first halves height and width.
        reference: the paper, and where in it the network is defined.
        groups: groups of the 3x3 convolution, the cardinality of ResNeXt and ResNeSt.
        base_width: width per group of a bottleneck whose stage is 64 channels wide.
        stem: "imagenet" (7x7 convolution of stride 2, max-pool), "deep" (three 3x3 convolutions, max-pool) or "cifar" (3x3).
        stem_width: channels of the first two convolutions of a deep stem; the third has twice as many.
        width: channels of the stem (but a deep one) and of the first stage.
        shortcut: "projection" (1x1 convolution, option B of He et al. 2015), "pooled" (average pool before it, ResNet-D) or
            "pad" (zero channels, option A).
        squeeze: squeeze-and-excitation at the end of a bottleneck.
        radix: splits per group of a split block.
        padding: where 3x3 and 7x7 windows of stride 2 lie. "symmetric": (kernel - 1) / 2 pixels of padding on every side, as
            in the papers, torchvision and timm. "same": just enough padding for an output of ceil(size / 2), and where that
            is an odd number of pixels, one more at the end (bottom, right) than in front; MindSpore's pad mode of this name.
            On images of even size every window then lies one pixel further down and right than with "symmetric". Padding
            does not count in an average. "same_pools": "same" for pools, "symmetric" for convolutions.
        pool_first: a split block that halves the image does so before its split attention instead of after it.
        sync_batch_norm: batch norm's statistics are those of the images of all ranks, not of each rank's own; Ascend only.
        split_groups: computes a grouped convolution group by group; no other network, another form of the same.
        drop_rate: share of the pooled features that dropout takes away in training.
        drop_block_rate: the same for DropBlock on the activations of split blocks in the last two stages.
        drop_path_rate: share of the images for which the last block's residual branch is dropped in training (stochastic
            depth); less in earlier blocks.
        in_channels: of the images, 3 or 1.
        image_size: height and width that the published network takes, in pixels.
    """

    block: str
    stage_sizes: tuple[int, ...]
    reference: str
    groups: int = 1
    base_width: int = 64
    stem: str = "imagenet"
    stem_width: int = 32
    width: int = 64
    shortcut: str = "projection"
    squeeze: bool = False
    radix: int = 1
    padding: str = "symmetric"
    pool_first: bool = False
    sync_batch_norm: bool = False
    split_groups: bool = False
    drop_rate: float = 0.0
    drop_block_rate: float = 0.0
    drop_path_rate: float = 0.0
    in_channels: int = 3
    image_size: int = 224
