"""Rewrites a network for inference: the same function with fewer operations, all of which every format knows."""

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from ..models.resnet import name_parameters_like_torch


class PaddedMaxPool(nn.Cell):
    """3x3 max-pool of stride 2, padding 1, for inputs of 0 and more, where padding with zeros changes nothing.

    MindSpore's own padded pool cannot be written to ONNX; this form is slower to train.
    """

    def __init__(self):
        super().__init__()
        self.pad = ops.Pad(((0, 0), (0, 0), (1, 1), (1, 1)))
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2)

    def construct(self, x):
        return self.pool(self.pad(x))


def prepare_for_inference(network: nn.Cell) -> nn.Cell:
    """Folds every batch norm into the convolution before it and replaces the stem's pool; changes `network` itself.

    Pairs are found by name: convN and bnN of one cell, or a convolution followed by a batch norm in a sequence.
    """
    network.set_train(False)
    for _, cell in list(network.cells_and_names()):
        _fold_pairs(cell)
    if getattr(network, "maxpool", None) is not None and network.maxpool.pad_mode.lower() == "pad":
        network.maxpool = PaddedMaxPool()
    name_parameters_like_torch(network)
    return network


def _fold_pairs(cell: nn.Cell) -> None:
    children = cell.name_cells()
    names = list(children)
    if isinstance(cell, nn.SequentialCell):
        pairs = list(zip(names, names[1:]))
    else:
        pairs = [(name, name.replace("conv", "bn")) for name in names if name.startswith("conv")]
    for conv_name, norm_name in pairs:
        convolution, norm = children[conv_name], children.get(norm_name)
        if not (isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
            continue
        replacements = {conv_name: fold(convolution, norm), norm_name: nn.Identity()}
        for name, replacement in replacements.items():
            if isinstance(cell, nn.SequentialCell):
                cell[int(name)] = replacement
            else:
                setattr(cell, name, replacement)


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One (grouped) convolution with bias that equals the convolution and the batch norm (evaluation mode) after it.

    w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma / sqrt(var + eps), computed in float64.
    """
    gamma, beta, mean, variance = (
        parameter.asnumpy().astype(np.float64)
        for parameter in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    factor = gamma / np.sqrt(variance + norm.eps)
    weight = convolution.weight.asnumpy() * factor[:, None, None, None]
    return nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,
        stride=convolution.stride,
        pad_mode=convolution.pad_mode,
        padding=convolution.padding,
        group=convolution.group,
        has_bias=True,
        weight_init=ms.Tensor(weight.astype(np.float32)),
        bias_init=ms.Tensor((beta - mean * factor).astype(np.float32)),
    )
