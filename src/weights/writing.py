"""Writes imported weights as a checkpoint of ours, or as safetensors for PyTorch."""

import json
import logging
from pathlib import Path

import mindspore as ms
import numpy as np
import safetensors.numpy
from mindspore import nn

from .. import checkpoint
from ..files import replacing
from ..models.create import create_model

log = logging.getLogger("resnet_zoo")


def write_checkpoint(values: dict, metadata: dict, output: Path) -> None:
    """Writes a checkpoint of ours. Raises UserError where that fails."""
    checkpoint.save(network_with(values, metadata), output, metadata)


def network_with(values: dict, metadata: dict) -> nn.Cell:
    """The network that the metadata describes, with these weights, in evaluation mode."""
    network = create_model(metadata["backbone"], metadata["num_classes"], padding=metadata["padding"])
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(values[parameter.name]))
    return network.set_train(False)


def write_safetensors(values: dict, metadata: dict, output: Path) -> None:
    """Writes what torchvision's and timm's `load_state_dict` take: float32, and PyTorch's counters of batches, zero.

    Raises:
        UserError: the file cannot be written.
    """
    if metadata["padding"] != "symmetric":
        log.warning(
            "torchvision and timm load these weights but pad symmetrically, this network '%s': their logits will differ",
            metadata["padding"],
        )
    counters = {
        f"{name.rpartition('.')[0]}.num_batches_tracked": np.zeros((), np.int64)
        for name in values
        if name.endswith(".running_var")
    }
    text = {"format": "pt", "resnet_zoo": json.dumps(metadata)}
    content = safetensors.numpy.save({**values, **counters}, text)
    with replacing(output) as temporary:
        temporary.write_bytes(content)
