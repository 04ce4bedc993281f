"""Builds a network from its name."""

from dataclasses import replace
from typing import Any

from ..errors import UserError
from ..networks.registry import find_model
from ..networks.spec import PADDINGS
from .resnet import ResNet


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
    return ResNet(replace(spec, **form, **rates), num_classes)
