"""`<model>.meta.json`: what a program needs to use an exported file, beside the file."""

import hashlib
import json
from pathlib import Path

from .errors import UserError
from .files import write_text


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
