"""The preprocessing of an evaluation: what the configuration asks for, and what is stored with the weights."""

from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..config import Config
from ..config.types import per_channel
from ..described import first_problem
from ..errors import UserError
from ..model_info import Preprocessing


def covering_size(height: int, width: int, target: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image scaled, with its aspect ratio, to the smallest size that covers `target`.

    One side becomes the target's, the other is rounded down. Reference: timm's ResizeKeepRatio for targets that are not
    square, which rounds to the nearest.
    """
    target_height, target_width = target
    if target_height * width >= target_width * height:
        return target_height, target_height * width // height
    return target_width * height // width, target_width


def preprocessing_from(config: Config) -> Preprocessing:
    """The preprocessing that a configuration asks for.

    Raises:
        UserError: an `eval_resize` smaller than the crop.
    """
    return _checked({**_asked(config), "resize": _resize(config, config.image_size)})


def preprocessing_for(config: Config, stored: Optional[Preprocessing]) -> Preprocessing:
    """The preprocessing stored with the weights; keys that the recipe or the command line set take its place.

    Where these set the size of the crop or the one before it, `_resize` finds the latter anew, for the crop that is used.

    Raises:
        UserError: an `eval_resize` smaller than the crop.
    """
    if stored is None:
        return preprocessing_from(config)
    keys = {"resize_mode": "eval_resize_mode", "antialias": "eval_antialias"}
    values = dict(stored)
    values.update({name: value for name, value in _asked(config).items() if keys.get(name, name) in config.given})
    for name in ("mean", "std"):  # the network has its number of channels, whatever `in_channels` says
        values[name] = per_channel(values[name], stored.channels)
    if {"image_size", "eval_resize"} & set(config.given):
        values["resize"] = _resize(config, values["image_size"])
    return _checked(values)


def to_gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB, uint8 (..., 3) -> luma, uint8 (..., 1), to the bit as Pillow's `convert("L")`: ITU-R BT.601, rounded."""
    red, green, blue = np.moveaxis(image.astype(np.uint32), -1, 0)
    return ((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16).astype(np.uint8)[..., None]


def _asked(config: Config) -> dict[str, Any]:
    return {
        "image_size": config.image_size,
        "resize_mode": config.eval_resize_mode,
        "antialias": config.eval_antialias,
        "mean": config.mean,
        "std": config.std,
    }


def _resize(config: Config, image_size: tuple[int, int]) -> Union[int, tuple[int, int]]:
    """What the sides of the crop are scaled up to, a pair where they differ.

    The larger one becomes `eval_resize` and the other follows. With 0 each is divided by 0.875, which makes 256 of 224, or
    with `crop_padding`, which trains on whole images, stays as it is.
    """
    larger = max(image_size)
    if config.eval_resize and config.eval_resize < larger:
        raise UserError(
            f"eval_resize: {config.eval_resize} is smaller than the crop, image_size {image_size[0]},{image_size[1]}; "
            f"pass {larger} or more, or 0"
        )
    if config.eval_resize:
        height, width = (round(config.eval_resize * side / larger) for side in image_size)
    else:
        height, width = image_size if config.crop_padding else (round(side / 0.875) for side in image_size)
    return height if image_size[0] == image_size[1] else (height, width)


def _checked(values: dict[str, Any]) -> Preprocessing:
    try:
        return Preprocessing(**values)
    except ValidationError as error:
        raise UserError(first_problem(error)) from None
