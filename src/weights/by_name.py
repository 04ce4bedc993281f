"""Published weights by their names, where a file of weights is asked for: downloaded and imported where they are not yet."""

import logging
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..model_info import ModelInfo
from ..version import __version__
from .downloading import download, folder_of
from .importing import read_weights
from .listing import Published, is_published, named
from .writing import write_checkpoint

log = logging.getLogger("resnet_zoo")


def local_path(path: Path, cache_dir: str) -> Path:
    """The file itself, or the checkpoint of the published weights that are named, "torchvision:resnet50.IMAGENET1K_V2".

    Raises:
        UserError: no published weights of that name, or what `download` and `read_weights` raise.
    """
    if not is_published(str(path)):
        return path
    file = named(str(path))
    folder = folder_of(file, Path(cache_dir))
    checkpoint = folder / __version__ / f"{folder.name}.ckpt"  # another version may import otherwise
    if not checkpoint.is_file():
        values, info = read_published(file, Path(cache_dir))
        write_checkpoint(values, info, checkpoint)
    return checkpoint


def read_published(file: Published, cache: Path) -> tuple[dict[str, NDArray[Any]], ModelInfo]:
    """As `read_weights`, of a published file, with the preprocessing that its publisher states."""
    values, info = read_weights(file.network, download(file, cache))
    assert info.preprocessing, "imported weights have one"
    images = {"image_size": (file.image_size,) * 2, "resize": file.resize, "mean": file.mean, "std": file.std}
    if file.interpolation != "bilinear":
        log.info(
            "published for images resized by %s, which are bilinear here: accuracy may differ a little", file.interpolation
        )
    log.info("%s: crop %d of %d pixels as published", file.name, file.image_size, file.resize)
    return values, info.model_copy(update={"preprocessing": info.preprocessing.model_copy(update=images)})
