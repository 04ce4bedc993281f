"""Which images train and which are held out: decided by seed, class and name, the same on every rank and after a resume."""

import csv
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import write_text
from .index import ImageIndex


def hold_out(index: ImageIndex, share: float, seed: int) -> tuple[ImageIndex, ImageIndex]:
    """Takes `share` of every class away, to within one image: what is left to train on, and what was taken.

    At least one image of a class is held out and at least one trains; where there is one only, it trains.
    """
    counts = np.bincount(index.labels)
    taken = np.clip(np.rint(counts * share), 1, np.maximum(counts - 1, 0))
    is_taken = _places(index, seed) < np.where(counts > 1, taken, 0)[index.labels]
    return index.select(np.flatnonzero(~is_taken)), index.select(np.flatnonzero(is_taken))


def limit_classes(index: ImageIndex, images_per_class: int, seed: int) -> ImageIndex:
    """At most so many images of every class. Those of a smaller number are among those of a larger one."""
    return index.select(np.flatnonzero(_places(index, seed) < images_per_class))


def write_split(path: Path, **parts: ImageIndex) -> None:
    """Writes the images of each part as a list that `label_file` takes: image, label, split.

    Raises:
        UserError: the file cannot be written, or a name holds a line break.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    table.writerow(("image", "label", "split"))
    for part, index in parts.items():
        for position, label in enumerate(index.labels):
            row = (index.name(position), index.class_names[label] if index.class_names else label, part)
            if any(line_break in str(field) for field in row for line_break in "\r\n"):
                raise UserError(f"{path.name}: {row[0]!r} has a line break in its name or class; rename it")
            table.writerow(row)
    write_text(path, text.getvalue())


def _places(index: ImageIndex, seed: int) -> NDArray[Any]:
    """Place of every image among those of its class, int64 (images,), in an order that depends on seed and names alone.

    So images that are added or removed move few others, and none where the data lies elsewhere.
    """
    key = str(seed).encode()
    names = (os.fsencode(index.name(position)) for position in range(len(index)))
    digests = (hashlib.blake2b(name, digest_size=8, key=key).digest() for name in names)
    hashes = np.frombuffer(b"".join(digests), ">u8")
    order = np.lexsort((hashes, index.labels))
    counts = np.bincount(index.labels)
    places = np.empty(len(index), np.int64)
    places[order] = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places
