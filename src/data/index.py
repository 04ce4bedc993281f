"""Which images there are and what they show: a folder of class folders, or a flat folder with a label file."""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..distributed.group import Group
from ..errors import UserError
from ..networks.imagenet import as_called_there
from .read_ahead import Reading
from .sources.images import Images

log = logging.getLogger("resnet_zoo")


@dataclass(frozen=True)
class ImageIndex:
    """Images with their labels, in a fixed order.

    Attributes:
        images: where they come from.
        rows: their numbers in `images`, int64, one per image.
        labels: class numbers, int32, one per image; -1 where there is none.
        class_names: the name of class i at place i; empty where a label file gives bare numbers.
        reading: how pipelines read the images.
    """

    images: Images
    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    reading: Reading = Reading()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def root(self) -> Path:
        """The folder that names are relative to."""
        return self.images.root

    @cached_property
    def files(self) -> list[str]:
        """All names, for data sets that are not too large; `name` gives one of them without making the list."""
        return [self.name(position) for position in range(len(self))]

    def name(self, position: int) -> str:
        """Path or name of an image relative to `root`."""
        return self.images.name(int(self.rows[position]))

    def path(self, position: int) -> Path:
        """Full path of an image."""
        return self.root / self.name(position)

    def read(self, position: int) -> NDArray[np.uint8]:
        """An image, as `Images.read` gives it."""
        return self.images.read(int(self.rows[position]))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, hexadecimal, of names, sizes, labels, order and class names; the same wherever the data lies."""
        digest = hashlib.sha256(self.images.digest())
        digest.update(self.rows.astype("<i8").data)
        digest.update(self.labels.astype("<i4").data)
        digest.update(json.dumps(self.class_names).encode())
        return digest.hexdigest()

    def select(self, positions: NDArray[np.int64]) -> "ImageIndex":
        """The images at these positions, in this order."""
        return replace(self, rows=self.rows[positions], labels=self.labels[positions])

    def without(self, bad: set[int]) -> "ImageIndex":
        """The same images but those at the positions in `bad`."""
        return self.select(np.setdiff1d(np.arange(len(self)), list(bad)))

    def shard(self, group: Group) -> "ImageIndex":
        """The part of one rank, for evaluation: every image belongs to exactly one; parts may differ by one image."""
        return self.select(np.arange(group.rank, len(self), group.size))

    def with_classes(self, class_names: tuple[str, ...]) -> "ImageIndex":
        """Renumbers the labels after another list of class names, for example a checkpoint's; logs those without images.

        ImageNet's classes may be called by their synset here and by a word there, or the other way round.

        Raises:
            UserError: a class that the list lacks.
        """
        if not self.class_names:
            check_label_range(self, len(class_names))
            return replace(self, class_names=class_names)
        own_names = as_called_there(self.class_names, class_names)
        unknown = sorted(set(own_names) - set(class_names))
        missing = sorted(set(class_names) - set(own_names))
        if unknown:
            parts = [f"not in the training classes: {some_of(unknown)}"]
            parts += [f"missing here: {some_of(missing)}"] * bool(missing)
            raise UserError(f"{self.root}: the class folders differ from the network's classes; {'; '.join(parts)}")
        if missing:
            share = f"{len(missing)} of the network's {len(class_names)} classes"
            log.warning("%s: %s have no images here: %s", self.root, share, some_of(missing))
        number = {name: i for i, name in enumerate(class_names)}
        table = np.array([number[name] for name in own_names], np.int32)
        return replace(self, labels=table[self.labels], class_names=class_names)


def index_of(images: Images, labels: ArrayLike, class_names: Iterable[str]) -> ImageIndex:
    """The index of all images of a format."""
    return ImageIndex(images, np.arange(len(images)), np.asarray(labels, np.int32), tuple(class_names))


def check_label_range(index: ImageIndex, num_classes: int) -> None:
    """Raises UserError for the first label that is `num_classes` or more."""
    beyond = np.flatnonzero(index.labels >= num_classes)
    if len(beyond):
        first = beyond[0]
        raise UserError(
            f"num_classes: {index.name(first)} has label {index.labels[first]}, but the network has {num_classes} classes"
        )


def some_of(names: Sequence[object], limit: int = 5) -> str:
    return ", ".join(map(str, names[:limit])) + (f", ... ({len(names)} in all)" if len(names) > limit else "")
