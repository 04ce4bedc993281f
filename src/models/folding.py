"""Batch norms, in evaluation mode, as a part of the convolutions before them."""

from typing import Any, Callable

import numpy as np
from mindspore import nn
from numpy.typing import NDArray


def fold_pairs(network: nn.Cell, make: Callable[[Any, Any], tuple[nn.Cell, nn.Cell]]) -> None:
    """Puts `make(convolution, norm)` in the places of every convolution and the batch norm right after it.

    Pairs are found by name: convN and bnN of one cell, `conv` and `bn0`, or neighbors in a sequence. Of a deep stem, a
    sequence itself, it is the last convolution.
    """
    for _, cell in list(network.cells_and_names()):
        children = cell.name_cells()
        names = list(children)
        pairs = [(name, "bn0" if name == "conv" else name.replace("conv", "bn")) for name in names]
        for conv_name, norm_name in list(zip(names, names[1:])) if isinstance(cell, nn.SequentialCell) else pairs:
            owner, place, convolution, norm = cell, conv_name, children[conv_name], children.get(norm_name)
            if isinstance(convolution, nn.SequentialCell):
                owner, place = convolution, str(len(convolution) - 1)
                convolution = convolution[len(convolution) - 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                for parent, name, child in zip((owner, cell), (place, norm_name), make(convolution, norm)):
                    if isinstance(parent, nn.SequentialCell):
                        parent[int(name)] = child
                    else:
                        setattr(parent, name, child)


def folded(weight: NDArray[Any], norm: tuple[NDArray[Any], ...], eps: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Weight and bias of a convolution that equals one without bias and the batch norm after it, float32.

    w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma / sqrt(var + eps), computed in float64.

    Args:
        weight: (C_out, ...).
        norm: gamma, beta, mean and variance, (C_out,) each.
    """
    gamma, beta, mean, variance = (np.asarray(values, np.float64) for values in norm)
    factor = gamma / np.sqrt(variance + eps)
    return (weight * factor[:, None, None, None]).astype(np.float32), (beta - mean * factor).astype(np.float32)
