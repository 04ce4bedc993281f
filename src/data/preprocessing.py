"""The preprocessing of an evaluation: what the configuration asks for, and what is stored with the weights."""

from typing import Any, Optional

from pydantic import ValidationError

from ..config import Config
from ..errors import UserError
from ..model_info import Preprocessing, first_problem


def preprocessing_from(config: Config) -> Preprocessing:
    """The preprocessing that a configuration asks for.

    `eval_resize` 0 becomes the larger side / 0.875, 256 for 224, or with `crop_padding`, which trains on whole images, the
    larger side.

    Raises:
        UserError: an `eval_resize` smaller than the crop.
    """
    return _checked(_asked(config))


def preprocessing_for(config: Config, stored: Optional[Preprocessing]) -> Preprocessing:
    """The preprocessing stored with the weights; keys that the recipe or the command line set take its place.

    Raises:
        UserError: an `eval_resize` smaller than the crop.
    """
    asked = _asked(config)
    if stored is None:
        return _checked(asked)
    keys = {"resize": "eval_resize", "resize_mode": "eval_resize_mode", "antialias": "eval_antialias"}
    changed = {name: value for name, value in asked.items() if keys.get(name, name) in config.given}
    if "image_size" in changed and "resize" not in changed:
        changed["resize"] = asked["resize"]  # it follows from the image size unless it is given
    return _checked({**dict(stored), **changed})


def _asked(config: Config) -> dict[str, Any]:
    larger = max(config.image_size)
    return {
        "image_size": config.image_size,
        "resize": config.eval_resize or (larger if config.crop_padding else round(larger / 0.875)),
        "resize_mode": config.eval_resize_mode,
        "antialias": config.eval_antialias,
        "mean": config.mean,
        "std": config.std,
    }


def _checked(values: dict[str, Any]) -> Preprocessing:
    height, width = values["image_size"]
    if values["resize"] < max(height, width):
        raise UserError(
            f"eval_resize: {values['resize']} is smaller than the crop, image_size {height},{width}; "
            f"pass {max(height, width)} or more, or 0"
        )
    try:
        return Preprocessing(**values)
    except ValidationError as error:
        raise UserError(first_problem(error)) from None
