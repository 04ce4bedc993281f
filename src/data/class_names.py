"""Names of classes, as the key `class_names` gives them."""

from pathlib import Path

from ..errors import UserError
from ..networks.imagenet import imagenet_classes
from .sources.label_files import read_class_names


def class_names_from(given: str) -> tuple[str, ...]:
    """What the key `class_names` names: "imagenet", its synsets; a file, the names in it; "", none.

    Raises:
        UserError: the file cannot be read, or holds what can be no class.
    """
    if given == "imagenet":
        return tuple(imagenet_classes())
    return read_class_names(Path(given)) if given else ()


def class_names_of(path: Path, num_classes: int, given: str, stored: tuple[str, ...]) -> tuple[str, ...]:
    """The names of a model file's classes: those `given`, as `class_names_from` reads them, else those it has `stored`.

    Raises:
        UserError: as `class_names_from`, or where the given ones are more or fewer than the classes.
    """
    names = class_names_from(given)
    if names and len(names) != num_classes:
        raise UserError(f"class_names: '{given}' has {len(names)} names, {path} has {num_classes} classes")
    return names or stored
