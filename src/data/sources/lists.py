"""Images without class folders: a flat folder with a label file, and files to be classified."""

import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Optional, Union

import numpy as np

from ...errors import UserError
from ..index import ImageIndex, index_of, some_of
from .folder import EXTENSIONS, FolderImages, check_folder, ending_of, images_below, is_image, say_passed_over
from .images import Names
from .label_files import read_labels, read_list

log = logging.getLogger("resnet_zoo")


def index_flat(root: Path, label_file: Path) -> ImageIndex:
    """Reads a flat folder whose labels stand in a file, one `image-name label` a line.

    A label is a class number from 0, or, when not all of them are numbers, a class name.

    Raises:
        UserError: a line that cannot be read, a name that stands twice or whose file is missing, images without a label.
    """
    check_folder(root)
    labels = read_labels(label_file)
    _check_files(root, label_file, labels)
    return index_of_labels(root, labels)


def index_list(root: Path, label_file: Path, data: Optional[ImageIndex] = None) -> dict[str, ImageIndex]:
    """Reads the images that a label file lists, which may lie in folders below `root`, by what they are for.

    Args:
        data: an opened data set of another format, whose images the file names; None: image files.

    Returns:
        "train", "val" and "test" -> images, those that the file knows; "" -> all images where it has no such column. All
        have the same classes.

    Raises:
        UserError: as `index_flat`; where the file says what images are for, images without a label are only logged.
    """
    if data is None:
        check_folder(root)
    labels, parts = read_list(label_file)
    if data is None:
        _check_files(root, label_file, labels, may_lack=bool(parts))
        index = index_of_labels(root, labels)
    else:
        place = {name: position for position, name in enumerate(data.files)}
        missing = [name for name in labels if name not in place]
        if missing:
            raise UserError(f"label_file: {len(missing)} images of '{label_file}' are not in '{root}': {some_of(missing)}")
        listed = index_of_labels(root, labels)
        rows = data.rows[[place[name] for name in listed.files]]
        index = replace(listed, images=data.images, rows=rows)
    if not parts:
        return {"": index}
    of_image = np.array([parts[name] for name in index.files])
    return {part: index.select(np.flatnonzero(of_image == part)) for part in sorted(set(parts.values()))}


def _check_files(root: Path, label_file: Path, labels: Mapping[str, object], may_lack: bool = False) -> None:
    """Raises UserError for labels without a file, and for images without a label, which are logged with `may_lack`."""
    images, others = _flat_files(root, label_file)
    say_passed_over(root, others)
    missing = [name for name in labels if not (root / name).is_file()]
    if missing:
        raise UserError(f"label_file: {len(missing)} files of '{label_file}' are not in '{root}': {some_of(missing)}")
    unlabeled = sorted(set(images) - set(labels))
    if unlabeled and not may_lack:
        raise UserError(f"label_file: '{label_file}' has no label for {len(unlabeled)} images: {some_of(unlabeled)}")
    if unlabeled:
        log.info("%s: %d images are not in %s and left out", root, len(unlabeled), label_file)


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
