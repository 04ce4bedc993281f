"""Builds a network from its name."""

from dataclasses import replace
from typing import Any

from ..checkpoint import weights_of
from ..errors import UserError
from ..networks.registry import find_model
from ..networks.spec import PADDINGS
from .blocked import BLOCKED_BLOCKS, BlockedLayers, fold, take_weights
from .layers import Layers
from .resnet import BLOCKS, ResNet


def create_model(
    name: str,
    num_classes: int = 1000,
    group_conv: str = "fused",
    drop_rate: float = 0.0,
    drop_block_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    padding: str = "symmetric",
    sync_batch_norm: bool = False,
    in_channels: int = 3,
    kernels: str = "stock",
):
    """Builds a network with freshly initialized weights.

    Args:
        name: one of `list_models()` or an alias ("resnext152").
        num_classes: number of logits, 1 or more.
        group_conv: "fused" (one grouped convolution) or "split" (one convolution per group); the weights are the same.
        drop_rate: share of the pooled features that dropout sets to zero in training.
        drop_block_rate: share of the activations that DropBlock sets to zero in training; for ResNeSt.
        drop_path_rate: share of the images that skip the last block in training (stochastic depth); fewer skip earlier ones.
        padding: where strided windows lie, one of `PADDINGS` (explained at `ResNetSpec`); a property of the weights, which a
            checkpoint's metadata tells.
        in_channels: of the images: 3, or 1 for gray ones.
        sync_batch_norm: whether training normalizes over the images of all ranks; needs Ascend and a distributed run.
        kernels: "stock" (MindSpore's own cells) or "blocked" (those of src/cpu, which must be built, for training and
            evaluation on a CPU; `group_conv` then makes no difference). Parameters are the same.

    Returns:
        A `mindspore.nn.Cell`: float32 images (N, in_channels, H, W) -> float32 logits (N, num_classes).

    Raises:
        UserError: unknown name, padding or number of channels, or DropBlock for a network that is no ResNeSt.
    """
    spec = find_model(name)
    if drop_block_rate and spec.block != "split":
        raise UserError(f"drop_block_rate: {drop_block_rate:g} is for ResNeSt only, backbone is {name}; pass 0")
    if padding not in PADDINGS:
        raise UserError(f"padding: this version builds networks with {', '.join(PADDINGS)}, the weights are for {padding!r}")
    if in_channels not in (1, 3):
        raise UserError(f"in_channels: expected 1 or 3, got {in_channels}")
    form: dict[str, Any] = {"in_channels": in_channels}
    form |= {"split_groups": group_conv == "split", "padding": padding, "sync_batch_norm": sync_batch_norm}
    rates: dict[str, Any] = {"drop_rate": drop_rate, "drop_block_rate": drop_block_rate, "drop_path_rate": drop_path_rate}
    spec = replace(spec, **form, **rates)
    if kernels == "blocked":
        spec = replace(spec, split_groups=False)
        return ResNet(spec, num_classes, BlockedLayers(spec), BLOCKED_BLOCKS)
    return ResNet(spec, num_classes, Layers(spec), BLOCKS)


def folded_copy(network, name: str):
    """The same network in the blocked kernels' fastest form, for evaluation on a CPU; takes weights by `take_weights`."""
    weights = weights_of(network)
    first = weights["conv1.weight" if "conv1.weight" in weights else "conv1.0.weight"]
    form = {"padding": network.padding, "in_channels": first.shape[1], "kernels": "blocked"}
    folded = fold(create_model(name, len(weights["fc.bias"]), **form))
    take_weights(folded, weights)
    return folded
