"""What the file of the network that off-line inference is for says of itself."""

from pathlib import Path

from ..config import Config
from ..errors import UserError
from ..log import log
from ..model_info import ModelInfo, describe, meta_path


def description_of(config: Config) -> ModelInfo:
    """What the file in `pretrained` says of itself; nothing without a file, or where it says nothing.

    Raises:
        UserError: no such file, it is damaged, or what it says makes no sense.
    """
    if not config.pretrained:
        return ModelInfo()
    path = Path(config.pretrained)
    if not path.is_file():
        raise UserError(f"pretrained: no such file '{path}'")
    info = describe(path)
    if info == ModelInfo():
        log.info("%s: no %s beside it; preprocessing and input are those of the configuration", path, meta_path(path).name)
    return info
