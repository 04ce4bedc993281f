"""The preprocessing of an evaluation: what the configuration asks for, and what is stored with the weights."""

from ..config import Config
from ..model_info import Preprocessing


def preprocessing_from(config: Config) -> Preprocessing:
    """The preprocessing that a configuration asks for.

    `eval_resize` 0 becomes the larger side / 0.875, 256 for 224, or with `crop_padding`, which trains on whole images, the
    larger side.
    """
    larger = max(config.image_size)
    return Preprocessing(
        image_size=config.image_size,
        resize=config.eval_resize or (larger if config.crop_padding else round(larger / 0.875)),
        resize_mode=config.eval_resize_mode,
        antialias=config.eval_antialias,
        mean=config.mean,
        std=config.std,
    )


def preprocessing_for(config: Config, metadata: dict) -> Preprocessing:
    """The preprocessing stored with the weights; keys that the recipe or the command line set take its place."""
    if "preprocessing" not in metadata:
        return preprocessing_from(config)
    stored = Preprocessing.from_dict(metadata["preprocessing"]).to_dict()
    asked = preprocessing_from(config).to_dict()
    keys = {"resize": "eval_resize", "resize_mode": "eval_resize_mode", "antialias": "eval_antialias"}
    changed = {name: value for name, value in asked.items() if keys.get(name, name) in config.given}
    if "image_size" in changed and "resize" not in changed:
        changed["resize"] = asked["resize"]  # it follows from the image size unless it is given
    return Preprocessing.from_dict({**stored, **changed})
