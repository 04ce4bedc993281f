"""Which images there are and what they show: a folder of class folders, or a flat folder with a label file."""

import hashlib
import json
import logging
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Optional

import numpy as np

from src.data.folder import EXTENSIONS, FolderImages, images_below, is_image, list_class_folders
from src.data.images import Images, Names
from src.data.order import Shard
from src.errors import UserError

log = logging.getLogger("resnet_zoo")


@dataclass(frozen=True)
class ImageIndex:
    """Images with their labels, in a fixed order.

    Attributes:
        images: where they come from.
        rows: their numbers in `images`, int64, one per image.
        labels: class numbers, int32, one per image; -1 where there is none.
        class_names: the name of class i at place i; empty where a label file gives bare numbers.
    """

    images: Images
    rows: np.ndarray
    labels: np.ndarray
    class_names: tuple

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def root(self) -> Path:
        """The folder that names are relative to."""
        return self.images.root

    @cached_property
    def files(self) -> list:
        """All names, for data sets that are not too large; `name` gives one of them without making the list."""
        return [self.name(position) for position in range(len(self))]

    def name(self, position: int) -> str:
        """Path or name of an image relative to `root`."""
        return self.images.name(int(self.rows[position]))

    def path(self, position: int) -> Path:
        """Full path of an image."""
        return self.root / self.name(position)

    def read(self, position: int) -> np.ndarray:
        """An image, as `Images.read` gives it."""
        return self.images.read(int(self.rows[position]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, of names, sizes, labels, order and class names; the same wherever the data lies."""
        digest = hashlib.sha256(self.images.digest())
        digest.update(self.rows.astype("<i8"))
        digest.update(self.labels.astype("<i4"))
        digest.update(json.dumps(self.class_names).encode())
        return digest.hexdigest()

    def select(self, positions: np.ndarray) -> "ImageIndex":
        """The images at these positions, in this order."""
        return replace(self, rows=self.rows[positions], labels=self.labels[positions])

    def without(self, bad: set) -> "ImageIndex":
        """The same images but those at the positions in `bad`."""
        return self.select(np.setdiff1d(np.arange(len(self)), list(bad)))

    def shard(self, shard: Shard) -> "ImageIndex":
        """The part of one rank, for evaluation: every image belongs to exactly one; parts may differ by one image."""
        return self.select(np.arange(shard.rank, len(self), shard.size))

    def with_classes(self, class_names: tuple, allow_fewer: bool) -> "ImageIndex":
        """Renumbers the labels after another list of class names, for example a checkpoint's.

        Raises:
            UserError: a class that the list lacks, or (unless `allow_fewer`) one of the list that is not here.
        """
        if not self.class_names:
            check_label_range(self, len(class_names))
            return replace(self, class_names=class_names)
        unknown = sorted(set(self.class_names) - set(class_names))
        missing = sorted(set(class_names) - set(self.class_names))
        if unknown or (missing and not allow_fewer):
            parts = [f"not in the training classes: {_some(unknown)}"] * bool(unknown)
            parts += [f"missing here: {_some(missing)}"] * bool(missing)
            raise UserError(f"{self.root}: the class folders differ from the network's classes; {'; '.join(parts)}")
        if missing:
            log.info("%s: %d of the network's %d classes have no images here", self.root, len(missing), len(class_names))
        number = {name: i for i, name in enumerate(class_names)}
        table = np.array([number[name] for name in self.class_names], np.int32)
        return replace(self, labels=table[self.labels], class_names=class_names)


def index_of(images: Images, labels: np.ndarray, class_names: tuple) -> ImageIndex:
    """The index of all images of a format."""
    return ImageIndex(images, np.arange(len(images)), np.asarray(labels, np.int32), tuple(class_names))


def index_folder(root: Path, cache_dir: Optional[Path] = None, check_files: bool = True) -> ImageIndex:
    """Reads a folder of class folders; classes are numbered in the order of their names.

    Images are found at any depth below their class folder. Hidden files and folders and class folders without images
    count for nothing; what else was passed over is logged.

    Args:
        cache_dir: where the list of files is kept between runs.
        check_files: looks at every file's size and time even where the list of an earlier run still holds.

    Raises:
        UserError: no such folder, not a folder, or no images in it.
    """
    _check_folder(root)
    found = list_class_folders(root, cache_dir, check_files)
    if not len(found.images):
        raise UserError(f"data_dir: no images in class folders below '{root}'; expected {root}/<class>/<image>.jpg")
    if found.empty:
        log.info("%s: %d folders without images are no classes: %s", root, len(found.empty), _some(found.empty))
    if found.ignored:
        log.info("%s: %d files that are no images (by their extension) were passed over", root, found.ignored)
    return index_of(found.images, found.labels, found.class_names)


def index_flat(root: Path, label_file: Path) -> ImageIndex:
    """Reads a flat folder whose labels stand in a file, one `image-name label` a line.

    A label is a class number from 0, or, when not all of them are numbers, a class name.

    Raises:
        UserError: a line that cannot be read, a name that stands twice or whose file is missing, images without a label.
    """
    _check_folder(root)
    labels = read_labels(label_file)
    missing = [name for name in labels if not (root / name).is_file()]
    if missing:
        raise UserError(f"label_file: {len(missing)} files of '{label_file}' are not in '{root}': {_some(missing)}")
    unlabelled = sorted(set(flat_images(root)) - set(labels))
    if unlabelled:
        raise UserError(f"label_file: '{label_file}' has no label for {len(unlabelled)} images: {_some(unlabelled)}")
    return index_of_labels(root, labels)


def index_of_labels(root: Path, labels: dict) -> ImageIndex:
    """The images that `labels` names (image name -> class number, or else class name), whether they are there or not."""
    files = sorted(labels)
    if all(isinstance(labels[name], int) for name in files):
        return index_of(FolderImages(root, Names.of(files)), [labels[name] for name in files], ())
    names = tuple(sorted({str(label) for label in labels.values()}))
    number = {name: i for i, name in enumerate(names)}
    return index_of(FolderImages(root, Names.of(files)), [number[str(labels[name])] for name in files], names)


def has_parts(root: Path) -> bool:
    """Whether a folder holds train/ and val/."""
    return (root / "train").is_dir() and (root / "val").is_dir()


def evaluation_folder(root: Path) -> Path:
    """The folder itself, or the val/ in it where it holds train/ and val/."""
    return root / "val" if has_parts(root) else root


def index_unlabelled(path: Path, key: str = "predict") -> ImageIndex:
    """One image, or the images of a folder at any depth; all labels are -1.

    Raises:
        UserError: there are none; says so of `key`.
    """
    if path.is_file():
        return index_of(FolderImages(path.parent, Names.of([path.name])), [-1], ())
    _check_folder(path, key)
    files, *_ = images_below(path, "")
    if not files:
        raise UserError(f"{key}: no images in '{path}' (looked for {', '.join(EXTENSIONS)})")
    return index_of(FolderImages(path, Names.of(files)), [-1] * len(files), ())


def read_labels(label_file: Path) -> dict:
    """Image name -> label, an int when the text is a whole number. Raises UserError naming the line that is wrong."""
    try:
        lines = label_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"label_file: cannot read '{label_file}': {getattr(error, 'strerror', None) or error}") from None
    labels: dict = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        if not name or label.startswith("-"):
            raise UserError(f"label_file: '{label_file}' line {number}: expected 'image-name label', got '{line.strip()}'")
        if name.strip() in labels:
            raise UserError(f"label_file: '{label_file}' line {number}: '{name.strip()}' has a label already")
        labels[name.strip()] = int(label) if label.isdecimal() else label
    if not labels:
        raise UserError(f"label_file: '{label_file}' holds no labels")
    return labels


def check_label_range(index: ImageIndex, num_classes: int) -> None:
    """Raises UserError for the first label that is `num_classes` or more."""
    beyond = np.flatnonzero(index.labels >= num_classes)
    if len(beyond):
        first = beyond[0]
        raise UserError(
            f"num_classes: {index.name(first)} has label {index.labels[first]}, but the network has {num_classes} classes"
        )


def flat_images(folder: Path) -> list:
    """Names of the images directly in a folder, hidden ones aside, in order."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_file() and is_image(entry.name))


def _check_folder(root: Path, key: str = "data_dir") -> None:
    if not root.exists():
        raise UserError(f"{key}: no such folder '{root}'")
    if not root.is_dir():
        raise UserError(f"{key}: '{root}' is a file; expected a folder of class folders")


def _some(names: list, limit: int = 5) -> str:
    return ", ".join(map(str, names[:limit])) + (f", ... ({len(names)} in all)" if len(names) > limit else "")
