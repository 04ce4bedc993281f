"""What a section of keys is, and the groups of commands that share keys."""

from typing import ClassVar

from pydantic import BaseModel

Commands = tuple[str, ...]
ALL = ("train", "eval", "export", "preprocess", "postprocess")
WITH_IMAGES = ("train", "eval", "export", "preprocess")
WITH_NETWORK = ("train", "eval", "export")
ON_RANKS = ("train", "eval")


class Section(BaseModel):
    """Keys that belong together.

    Attributes:
        title: heading above them in lists.
        commands: those that use its keys, unless a key says otherwise.
        decides: whether its keys decide what the weights become, so that a resumed run must have the same.
    """

    title: ClassVar[str]
    commands: ClassVar[Commands]
    decides: ClassVar[bool] = False
