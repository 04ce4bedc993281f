"""What a network's file says of itself: classes, preprocessing and input."""

from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..log import log
from ..model_info import meta_path, read_meta


def read_metadata(config: Config) -> dict:
    """What the file in `pretrained` says of itself; empty without a file, or where it says nothing.

    Raises:
        UserError: no such file, or it is damaged.
    """
    if not config.pretrained:
        return {}
    path = Path(config.pretrained)
    if path.suffix == ".ckpt":
        from .. import checkpoint  # imports MindSpore, which the descriptions of exports do without

        return checkpoint.load(path).metadata
    if not path.is_file():
        raise UserError(f"pretrained: no such file '{path}'")
    metadata = read_meta(path)
    if not metadata:
        log.info("%s: no %s beside it; preprocessing and input are those of the configuration", path, meta_path(path).name)
    return metadata
