"""What the files of an image are called in off-line inference: <name>.bin, and the result <name>_0.bin or <name>_0.txt."""

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from ..errors import UserError


def result_names(files: Sequence[str]) -> list[str]:
    """The name of every image of a data set; ascend310_infer follows the same rule.

    It is the file's name without its ending where no other file of the data set has the same, in whatever folder; else
    the path below the data set's root without the ending, with "__" for every "/"; files that differ in their endings
    alone keep them.

    Args:
        files: all images of the data set, relative to its root.

    Raises:
        UserError: two images get the same name; names both.
    """
    paths = [PurePath(file) for file in files]
    counts = Counter(path.stem for path in paths)
    places = Counter(path.with_suffix("") for path in paths)
    names = []
    for path in paths:
        place = path.with_suffix("")
        full = "__".join((place if places[place] == 1 else path).parts)
        names.append(path.stem if counts[path.stem] == 1 else full)
    first: dict[str, str] = {}
    for name, file in zip(names, files):
        if name in first:
            raise UserError(f"{first[name]} and {file} would both be called {name}.bin; rename one of them")
        first[name] = file
    return names
