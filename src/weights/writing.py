"""Writes imported weights as a checkpoint of ours, or as safetensors for PyTorch."""

import json
import logging
from pathlib import Path
from typing import Any

import mindspore as ms
import numpy as np
import safetensors.numpy
from mindspore import nn
from numpy.typing import NDArray

from .. import checkpoint
from ..files import replacing
from ..model_info import ModelInfo
from ..models.create import create_model

log = logging.getLogger("resnet_zoo")


def write_checkpoint(values: dict[str, NDArray[Any]], info: ModelInfo, output: Path) -> None:
    """Writes a checkpoint of ours. Raises UserError where that fails."""
    checkpoint.save(network_with(values, info), output, info)


def network_with(values: dict[str, NDArray[Any]], info: ModelInfo) -> nn.Cell:
    """The network that is described, with these weights, in evaluation mode."""
    assert info.backbone and info.num_classes, "weights are read for a network"
    network = create_model(info.backbone, info.num_classes, padding=info.padding, in_channels=info.in_channels or 3)
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(values[parameter.name]))
    return network.set_train(False)


def write_safetensors(values: dict[str, NDArray[Any]], info: ModelInfo, output: Path) -> None:
    """Writes what torchvision's and timm's `load_state_dict` take: float32, and PyTorch's counters of batches, zero.

    Raises:
        UserError: the file cannot be written.
    """
    if info.padding != "symmetric":
        log.warning(
            "torchvision and timm load these weights but pad symmetrically, this network '%s': their logits will differ",
            info.padding,
        )
    counters = {
        f"{name.rpartition('.')[0]}.num_batches_tracked": np.zeros((), np.int64)
        for name in values
        if name.endswith(".running_var")
    }
    text = {"format": "pt", "resnet_zoo": json.dumps(info.to_dict())}
    content = safetensors.numpy.save({**values, **counters}, text)
    with replacing(output) as temporary:
        temporary.write_bytes(content)
