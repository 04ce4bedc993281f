"""Parameters and multiply-adds of a network, counted on the network itself."""

import mindspore as ms
import numpy as np
from mindspore import nn


def count_parameters(network: nn.Cell) -> int:
    """Number of trainable weights; running statistics do not count."""
    return sum(parameter.size for parameter in network.trainable_params())


def count_multiply_adds(network: nn.Cell, image_size: tuple[int, int]) -> int:
    """Multiplications of one image's forward pass in convolutions and linear layers (He et al. 2015, table 1: "FLOPs").

    Runs the network once on an image (height, width), in PyNative mode, and looks at the shapes.
    """
    counts = []

    def count(cell, _, output):
        weight = cell.weight.shape  # (out, in / groups, kernel, kernel) or (out, in)
        counts.append(int(np.prod(weight[1:])) * int(np.prod(output.shape)))

    hooks = [
        cell.register_forward_hook(count) for _, cell in network.cells_and_names() if isinstance(cell, (nn.Conv2d, nn.Dense))
    ]
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)  # hooks do not run in graph mode
    try:
        network.set_train(False)(ms.Tensor(np.zeros((1, 3, *image_size), np.float32)))
    finally:
        ms.set_context(mode=mode)
        for hook in hooks:
            hook.remove()
    return sum(counts)
