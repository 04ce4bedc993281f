"""Weight files that others publish for the networks here, as data: published.json (scripts/make_weight_list.py)."""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ..errors import UserError
from ..networks.registry import canonical_name, find_model


@dataclass(frozen=True)
class Published:
    """A file of weights and what its publisher says of it.

    Attributes:
        name: publisher and name there, "torchvision:resnet50.IMAGENET1K_V2".
        sha256: the first 8 hexadecimal digits; "" where none are published.
        megabytes: size in units of 2**20 bytes; None where it is not published.
        top1: of ImageNet's validation set, percent; None where the source does not say.
        image_size, resize: crop and shorter side before it, in pixels.
    """

    name: str
    network: str
    url: str
    sha256: str
    megabytes: Optional[float]
    license: str
    top1: Optional[float]
    image_size: int
    resize: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


def published() -> list[Published]:
    """All files, by publisher and network."""
    rows = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return [Published(**{**row, "mean": tuple(row["mean"]), "std": tuple(row["std"])}) for row in rows]


def is_published(name: str) -> bool:
    """Whether this is the name of published weights, known here or not, and not that of a file."""
    publisher, colon, _ = name.partition(":")
    return bool(colon) and publisher in {file.name.partition(":")[0] for file in published()} and not Path(name).exists()


def find(network: str) -> list[Published]:
    """The files of a network. Raises UserError for a network that there is not."""
    find_model(network)
    return [file for file in published() if file.network == canonical_name(network)]


def named(name: str) -> Published:
    """The file of that name. Raises UserError, with the nearest name, where there is none."""
    files = {file.name: file for file in published()}
    if name in files:
        return files[name]
    near = difflib.get_close_matches(name, files, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "python -m src.weights find NETWORK lists them"
    raise UserError(f"'{name[:80]}': no published weights of that name; {hint}")


def table(files: list[Published]) -> str:
    """What people read: two lines per file, its address second."""
    lines = []
    for file in files:
        size = f"{file.megabytes:.1f} MB" if file.megabytes else "size not stated"
        top1 = f"top-1 {file.top1} %" if file.top1 else "top-1 not stated"
        digest = f"SHA-256 {file.sha256}..." if file.sha256 else "no SHA-256"
        pixels = f"{file.image_size} of {file.resize} pixels, {file.interpolation}"
        lines += [
            f"{file.name}  {top1}, {pixels}, {size}, {digest}, {file.license or 'license not stated'}",
            f"  {file.url}",
        ]
    return "\n".join(lines)
