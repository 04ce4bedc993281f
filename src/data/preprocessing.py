"""What happens to an image before the network sees it in evaluation, as data that travels with the weights."""

from dataclasses import asdict, dataclass, fields

from ..config import Config
from ..errors import UserError


@dataclass(frozen=True)
class Preprocessing:
    """Decode to RGB, resize, centre-crop, scale to 0..1, subtract mean, divide by std, channels first.

    Attributes:
        image_size: (height, width) of the crop in pixels.
        resize: pixels of the shorter side, or of both with mode "square".
        resize_mode: "shorter" keeps the aspect ratio, "square" does not.
        antialias: Pillow's bilinear filter, which averages when it shrinks, instead of OpenCV's, which samples.
        mean, std: per channel, red, green, blue, for pixels scaled to 0..1.
    """

    image_size: tuple
    resize: int
    resize_mode: str
    antialias: bool
    mean: tuple
    std: tuple

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Preprocessing":
        """The reverse of `to_dict`. Raises UserError for a description with other keys."""
        if set(values) != {field.name for field in fields(cls)}:
            raise UserError(f"preprocessing: expected the keys {[f.name for f in fields(cls)]}, got {sorted(values)}")
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})


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
