"""Images without class folders: a flat folder with a label file, and files to be classified."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Union

from ...errors import UserError
from ..index import ImageIndex, index_of, some_of
from .folder import EXTENSIONS, FolderImages, check_folder, ending_of, images_below, is_image, say_passed_over
from .images import Names
from .label_files import read_labels


def index_flat(root: Path, label_file: Path) -> ImageIndex:
    """Reads a flat folder whose labels stand in a file, one `image-name label` a line.

    A label is a class number from 0, or, when not all of them are numbers, a class name.

    Raises:
        UserError: a line that cannot be read, a name that stands twice or whose file is missing, images without a label.
    """
    check_folder(root)
    labels = read_labels(label_file)
    images, others = _flat_files(root, label_file)
    say_passed_over(root, others)
    missing = [name for name in labels if not (root / name).is_file()]
    if missing:
        raise UserError(f"label_file: {len(missing)} files of '{label_file}' are not in '{root}': {some_of(missing)}")
    unlabeled = sorted(set(images) - set(labels))
    if unlabeled:
        raise UserError(f"label_file: '{label_file}' has no label for {len(unlabeled)} images: {some_of(unlabeled)}")
    return index_of_labels(root, labels)


def index_of_labels(root: Path, labels: Mapping[str, Union[int, str]]) -> ImageIndex:
    """The images that `labels` names (image name -> class number, or else class name), whether they are there or not."""
    files = sorted(labels)
    if all(isinstance(labels[name], int) for name in files):
        return index_of(FolderImages(root, Names.of(files)), [labels[name] for name in files], ())
    names = tuple(sorted({str(label) for label in labels.values()}))
    number = {name: i for i, name in enumerate(names)}
    return index_of(FolderImages(root, Names.of(files)), [number[str(labels[name])] for name in files], names)


def index_unlabeled(path: Path, key: str = "predict") -> ImageIndex:
    """One image, or the images of a folder at any depth; all labels are -1.

    Raises:
        UserError: there are none; says so of `key`.
    """
    if path.is_file():
        return index_of(FolderImages(path.parent, Names.of([path.name])), [-1], ())
    check_folder(path, key)
    files, others, _ = images_below(path, "")
    say_passed_over(path, others)
    if not files:
        raise UserError(f"{key}: no images in '{path}' (looked for {', '.join(EXTENSIONS)})")
    return index_of(FolderImages(path, Names.of(files)), [-1] * len(files), ())


def _flat_files(folder: Path, label_file: Path) -> tuple[list[str], Counter[str]]:
    """Names of the images directly in a folder, and ending -> number of other files; hidden ones and the labels aside."""
    names = [entry.name for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]
    others = Counter(ending_of(name) for name in names if not is_image(name) and name != label_file.name)
    return [name for name in names if is_image(name)], others
