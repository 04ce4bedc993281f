"""The first convolution of a network for gray images, from one for color, and the other way round."""

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

log = logging.getLogger("resnet_zoo")


def first_convolution(names: Collection[str]) -> str:
    """The name of the first convolution's weight among a network's parameters."""
    return "conv1.0.weight" if "conv1.0.weight" in names else "conv1.weight"


def fit_channels(weight: NDArray[Any], channels: int) -> NDArray[np.float32]:
    """A first convolution (O, C, kh, kw) for another number of input channels, as timm's `adapt_input_conv` makes it.

    For one channel the weights of the colors are added up, for three each gets a third of the one: a gray image, normalized
    alike in all colors, gives the same in both.

    Raises:
        UserError: C or `channels` is neither 1 nor 3.
    """
    found = weight.shape[1]
    if found not in (1, 3) or channels not in (1, 3):
        raise UserError(f"in_channels: the weights are for {found} channels, asked for are {channels}; expected 1 or 3")
    if found == channels:
        return weight
    log.info("first convolution: %s", "colors added up to gray" if channels == 1 else "gray shared out to three colors")
    weight = weight.astype(np.float32)
    return weight.sum(1, keepdims=True) if channels == 1 else np.repeat(weight / 3, 3, axis=1)
