"""The health of a data set: files that cannot be read, tiny and huge ones, duplicates, the balance of classes, labels."""

import contextlib
import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image

from ..config import Config
from ..data.datasets import check_num_classes, unchecked_data
from ..data.index import ImageIndex, some_of
from ..data.scan import find_problems
from ..data.sources.folder import FolderImages
from ..device import worker_count
from ..errors import UserError
from .findings import Finding, ok, problem, warning

SIZES_LOOKED_AT = 2000  # images whose width and height are read, evenly spread
HUGE_BYTES = 20 << 20  # of a file, which then takes longer to decode than a batch of others
_END_BYTES = 4096
BALANCE = 20  # times as many images as the smallest class that the largest may have
_ENLARGED = 4  # times that an image's shorter side is enlarged before it counts as tiny


class _Copy(NamedTuple):
    """A file that may have copies: the part of the data that it is in, its class, its path."""

    part: str
    label: int
    path: Path


def check_data(config: Config) -> Iterator[Finding]:
    """The training images that `data_dir` names and those for evaluation beside them."""
    said: list[str] = []
    try:
        with _listening(said):
            train, val = unchecked_data(config)
    except UserError as error:
        yield problem("data", str(error), "see docs/data-formats.md")
        return
    for line in said:
        yield warning("other files", line, "convert them to JPEG or PNG if they are images")
    parts = {"train": train, "val": val} if val is not None else {"data": train}
    for name, index in parts.items():
        yield ok("data", f"{name}: {len(index)} images of {len(index.class_names)} classes in {index.root}")
        if isinstance(index.images, FolderImages):
            yield from _check_files(name, index, config)
        yield from _check_balance(name, index)
    yield from _check_labels(train, val, config)
    if isinstance(train.images, FolderImages):
        yield from _check_duplicates(train, val if val is not None and isinstance(val.images, FolderImages) else None)


@contextlib.contextmanager
def _listening(lines: list[str]) -> Iterator[None]:
    """Warnings that are logged in the block go into `lines` instead."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("resnet_zoo")
    handlers, propagates = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [handler], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagates


def _check_files(name: str, index: ImageIndex, config: Config) -> Iterator[Finding]:
    assert isinstance(index.images, FolderImages)
    scan = "full" if config.scan == "off" else config.scan
    problems = find_problems(index, scan, Path(config.cache_dir), worker_count(config.num_parallel_workers))
    if problems:
        first = min(problems)
        text = f"{name}: {len(problems)} of {len(index)} files cannot be used, first {index.path(first)} ({problems[first]})"
        yield problem("bad files", text, "repair or remove them, or pass --bad_images skip")
    sizes = index.images.stamps[index.rows, 0]
    if (huge := np.flatnonzero(sizes > HUGE_BYTES)).size:
        text = f"{name}: {huge.size} files of more than {HUGE_BYTES >> 20} MB, first {index.path(int(huge[0]))}"
        yield warning("huge files", text, "make them smaller: decoding them holds up every epoch")
    limit = min(config.image_size) // _ENLARGED
    looked_at = np.unique(np.linspace(0, len(index) - 1, min(SIZES_LOOKED_AT, len(index))).astype(int))
    tiny = [int(i) for i in looked_at if int(i) not in problems and _shorter_side(index.path(int(i))) < limit]
    if tiny:
        text = (
            f"{name}: {len(tiny)} of {len(looked_at)} images looked at are under {limit} pixels, first {index.path(tiny[0])}"
        )
        yield warning(
            "tiny images", text, f"leave them out, or train with a smaller --image_size than {config.image_size[0]}"
        )


def _shorter_side(path: Path) -> int:
    with Image.open(path) as image:
        return min(image.size)


def _check_balance(name: str, index: ImageIndex) -> Iterator[Finding]:
    if not index.class_names:
        return
    counts = np.bincount(index.labels[index.labels >= 0], minlength=len(index.class_names))
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    if counts[largest] > BALANCE * counts[smallest]:
        text = (
            f"{name}: class {index.class_names[smallest]} has {counts[smallest]} images, "
            f"class {index.class_names[largest]} {counts[largest]}"
        )
        yield warning("balance", text, "collect more of the small classes, or judge the network by each class by itself")


def _check_labels(train: ImageIndex, val: Optional[ImageIndex], config: Config) -> Iterator[Finding]:
    try:
        if "num_classes" in config.given:
            check_num_classes(train, config.num_classes)
        if val is not None and train.class_names:
            with _listening([]):  # what it logs is the line below
                val = val.with_classes(train.class_names)
            empty = [name for i, name in enumerate(train.class_names) if not (val.labels == i).any()]
            if empty:
                yield warning("labels", f"no images for evaluation of {some_of(empty)}", "move some of the training images")
    except UserError as error:
        yield problem("labels", str(error), "the class folders of train and val must be those of the network")


def _check_duplicates(train: ImageIndex, val: Optional[ImageIndex]) -> Iterator[Finding]:
    """Files of equal content."""
    files: dict[int, list[_Copy]] = defaultdict(list)
    for part, index in (("train", train), ("val", val)):
        if index is None:
            continue
        assert isinstance(index.images, FolderImages)
        for position, size in enumerate(index.images.stamps[index.rows, 0]):
            files[int(size)].append(_Copy(part, int(index.labels[position]), index.path(position)))
    of_one_size = [group for size, group in files.items() if size > 0]
    # The ends differ between most images of one size, so that few are read in whole.
    yield from _duplicate_lines(_split(_split(of_one_size, _END_BYTES), 0))


def _split(groups: list[list[_Copy]], end: int) -> list[list[_Copy]]:
    """Groups of several files whose last `end` bytes are equal; 0: the whole files."""
    alike: dict[tuple[int, bytes], list[_Copy]] = defaultdict(list)
    for number, group in enumerate(groups):
        for copy in group if len(group) > 1 else ():
            if content := _digest(copy.path, end):
                alike[number, content].append(copy)
    return [group for group in alike.values() if len(group) > 1]


def _duplicate_lines(groups: list[list[_Copy]]) -> Iterator[Finding]:
    """One line for each of the ways in which copies do harm."""
    between = [group for group in groups if len({copy.part for copy in group}) > 1]
    mislabeled = [group for group in groups if len({copy.label for copy in group}) > 1]
    within = [group for group in groups if max(Counter((copy.part, copy.label) for copy in group).values()) > 1]
    for say, kind, found, cure in (
        (problem, "in train and in val", between, "remove them from one of the two: such images are known by heart"),
        (problem, "with different labels", mislabeled, "decide what they show"),
        (warning, "within a class", within, "remove all but one of each"),
    ):
        if found:
            example = ", ".join(str(copy.path) for copy in found[0][:3])
            yield say("duplicates", f"equal images {kind}: {len(found)}, for example {example}", cure)


def _digest(path: Path, end: int) -> bytes:
    """Of the last `end` bytes of a file, 0: of all; empty where it cannot be read, which the scan has said."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            file.seek(max(path.stat().st_size - end, 0) if end else 0)
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError:
        return b""
    return digest.digest()
