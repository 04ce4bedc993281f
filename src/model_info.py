"""`<model>.meta.json`: what a program needs to use an exported file, beside the file."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .errors import UserError
from .files import write_text


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


def meta_path(model: Path) -> Path:
    """resnext.onnx -> resnext.onnx.meta.json."""
    return model.with_name(model.name + ".meta.json")


def write_meta(model: Path, meta: dict) -> None:
    """Writes the description of an exported file, with the file's checksum."""
    write_text(meta_path(model), json.dumps({"sha256": file_digest(model), **meta}, indent=2) + "\n")


def read_meta(model: Path) -> dict:
    """The description of an exported file, empty when there is none.

    Raises:
        UserError: the description cannot be read, or the file is not the one it describes.
    """
    path = meta_path(model)
    if not path.is_file():
        return {}
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        digest = meta["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        raise UserError(f"{path}: cannot be read; export the checkpoint again") from None
    if digest != file_digest(model):
        raise UserError(f"{model}: damaged or replaced: its checksum is not the one in {path.name}; export it again")
    return meta


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
