"""Image files below a folder: found once, and found again from a cache as long as no folder was changed.

A folder's time of change tells whether files were added, removed or renamed in it; a file's size and time of change whether
it was rewritten. benchmarks/startup.py measures what that takes for a million files.
"""

import hashlib
import logging
import os
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ...progress import beat
from ..cache import Arrays, cache_path, load_arrays, save_arrays
from ..image_formats import EXTENSIONS, ImageError, for_mindspore, read_file
from ..index import ImageIndex, index_of, some_of
from .images import Images, Names

log = logging.getLogger("resnet_zoo")

PLAN = ".prepare.json"  # in a folder that `prepare` is filling; while it is there, images are missing

_ARRAYS = {"labels": np.int32, "stamps": np.int64, "folder_times": np.int64, "other_counts": np.int64}
_LISTS = ("names", "folders", "class_names", "empty", "other_endings")  # in bytes: they must not depend on the locale
_CACHED = (*_ARRAYS, *(f"{name}_{part}" for name in _LISTS for part in ("buffer", "ends")))
# File systems note times in steps of up to 2 seconds (FAT): a folder changed so shortly before may change again unnoticed.
_CLOCK_STEP_NS = 2_000_000_000
_FILES_PER_BEAT = 1024


class FolderImages(Images):
    """Image files.

    Attributes:
        names: paths relative to `root`.
        stamps: size in bytes and time of change in nanoseconds, int64 (images, 2); -1 for files that cannot be looked at.
    """

    kind = "folder"

    def __init__(self, root: Path, names: Names, stamps: Optional[NDArray[np.int64]] = None):
        self.root = root
        self.names = names
        self.stamps = _stamps(root, names) if stamps is None else stamps

    def __len__(self) -> int:
        return len(self.names)

    def name(self, image: int) -> str:
        return self.names[image]

    def read(self, image: int) -> NDArray[np.uint8]:
        path = os.path.join(self.root, self.names[image])
        try:
            return np.frombuffer(for_mindspore(read_file(path)), np.uint8)
        except ImageError as error:
            raise UserError(f"{path}: {error}") from None

    def digest(self) -> bytes:
        digest = hashlib.sha256(np.ascontiguousarray(self.stamps[:, 0]).data)
        digest.update(self.names.ends.data)
        digest.update(self.names.buffer.data)
        return digest.digest()


def index_folder(
    root: Path, cache_dir: Optional[Path] = None, check_files: bool = True, class_folders: str = "top"
) -> ImageIndex:
    """Reads a folder of class folders; classes are numbered in the order of their names.

    Images are found at any depth below their class folder. Hidden files and folders and class folders without images
    count for nothing; what else was passed over is logged.

    Args:
        cache_dir: where the list of files is kept between runs.
        check_files: looks at every file's size and time even where the list of an earlier run still holds.
        class_folders: which folder names an image's class: "top" the one directly in `root`; "name" the one that the image
            lies in; "path" the same, called by its path below `root`.

    Raises:
        UserError: no such folder, not a folder, or no images in it.
    """
    check_folder(root)
    found = list_class_folders(root, cache_dir, check_files)
    if not len(found.images):
        raise UserError(f"data_dir: no images in class folders below '{root}'; expected {root}/<class>/<image>.jpg")
    if found.empty:
        log.info("%s: %d folders without images are no classes: %s", root, len(found.empty), some_of(found.empty))
    say_passed_over(root, found.others)
    if class_folders == "top":
        return index_of(found.images, found.labels, found.class_names)
    folders = [os.path.dirname(name) for name in found.images.names]
    classes = folders if class_folders == "path" else [os.path.basename(folder) for folder in folders]
    number = {name: i for i, name in enumerate(sorted(set(classes)))}
    return index_of(found.images, [number[name] for name in classes], number)


def has_parts(root: Path) -> bool:
    """Whether a folder holds train/ and val/."""
    return (root / "train").is_dir() and (root / "val").is_dir()


def evaluation_folder(root: Path) -> Path:
    """The folder itself, or the val/ in it where it holds train/ and val/."""
    return root / "val" if has_parts(root) else root


def say_passed_over(root: Path, others: Counter[str]) -> None:
    """Logs how many files did not count as images: "12 files passed over: 10 .gif, 2 .heic". `others`: ending -> number."""
    if others:
        endings = [f"{count} {ending}" for ending, count in sorted(others.items(), key=lambda item: (-item[1], item[0]))]
        number = sum(others.values())
        log.warning("%s: %d file%s passed over: %s", root, number, "s" * (number > 1), some_of(endings))


def check_folder(root: Path, key: str = "data_dir") -> None:
    if not root.exists():
        raise UserError(f"{key}: no such folder '{root}'")
    if not root.is_dir():
        raise UserError(f"{key}: '{root}' is a file; expected a folder of class folders")
    if (root / PLAN).exists():
        raise UserError(f"{key}: '{root}' is filled in part; repeat the command of src.data.tools.prepare that was at it")


class Listing(NamedTuple):
    """The images in class folders.

    Attributes:
        labels: number of the class folder of every image, int32 (images,).
        class_names: class folders that hold images.
        empty: class folders that hold none.
        others: ending -> number of the other files.
        folders: all folders looked into, relative to the root.
        folder_times: their times of change in nanoseconds, int64; 0 where the folder may have changed since.
    """

    images: FolderImages
    labels: NDArray[np.int32]
    class_names: list[str]
    empty: list[str]
    others: Counter[str]
    folders: Names
    folder_times: NDArray[np.int64]


def list_class_folders(root: Path, cache_dir: Optional[Path], check_files: bool) -> Listing:
    """The images in the class folders of `root`, classes and images in the order of their names.

    Args:
        cache_dir: where the list is kept between runs; None: nowhere.
        check_files: looks at the size and time of every file even if no folder changed.
    """
    if cache_dir is None:
        return _walk(root)
    cache_file = cache_path(cache_dir, "index", root)
    listing = _read_cache(cache_file, root)
    if listing is None:
        listing = _walk(root)
    elif check_files:
        stamps = _stamps(root, listing.images.names)
        if np.array_equal(stamps, listing.images.stamps):
            return listing
        listing = listing._replace(images=FolderImages(root, listing.images.names, stamps))
    else:
        return listing
    _write_cache(cache_file, listing)
    return listing


def images_below(root: Path, folder: str) -> tuple[list[str], Counter[str], list[tuple[str, int]]]:
    """Images at any depth below root/folder: sorted paths relative to root, endings of other files, folders with times."""
    others: Counter[str] = Counter()
    images, folders = [], []
    top = os.stat(root)
    visited = {(top.st_dev, top.st_ino)} if folder else set()  # a link back to the root would mix the classes
    for directory, subfolders, names in os.walk(root / folder, followlinks=True):
        status = os.stat(directory)  # before its files are listed, or rather not after
        if (status.st_dev, status.st_ino) in visited:  # a link back to a folder above
            subfolders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        relative = os.path.relpath(directory, root)
        folders.append((relative, status.st_mtime_ns))
        prefix = "" if relative == "." else relative + os.sep
        found = [prefix + name for name in names if is_image(name)]
        images += found
        if len(found) < len(names):
            others.update(map(ending_of, (name for name in names if not is_image(name) and not name.startswith("."))))
    return sorted(images), others, folders


def is_image(name: str) -> bool:
    """Whether a file counts as an image, by its name."""
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def ending_of(name: str) -> str:
    """The ending by which a file that is no image is counted."""
    return os.path.splitext(name)[1].lower() or "without an ending"


def _walk(root: Path) -> Listing:
    started = time.time_ns()
    folders = [(".", root.stat().st_mtime_ns)]
    classes = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    ignored: Counter[str] = Counter()
    parts, counts, class_names, empty = [], [], [], []
    for name in classes:
        files, others, below = images_below(root, name)
        ignored += others
        folders += below
        beat()
        if files:
            class_names.append(name)
            parts.append(Names.of(files))
            counts.append(len(files))
        else:
            empty.append(name)
    times = np.array([changed for _, changed in folders], np.int64)
    times[times > started - _CLOCK_STEP_NS] = 0
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    images = FolderImages(root, Names.join(parts))
    return Listing(images, labels, class_names, empty, ignored, Names.of(name for name, _ in folders), times)


def _stamps(root: Path, names: Names) -> NDArray[np.int64]:
    stamps = np.full((len(names), 2), -1, np.int64)
    prefix = os.path.join(root, "")
    for i, name in enumerate(names):
        if i % _FILES_PER_BEAT == 0:
            beat()
        try:
            status = os.stat(prefix + name)
        except OSError:
            continue
        stamps[i, 0], stamps[i, 1] = status.st_size, status.st_mtime_ns
    return stamps


def _write_cache(path: Path, listing: Listing) -> None:
    lists = {
        "names": listing.images.names,
        "folders": listing.folders,
        "class_names": Names.of(listing.class_names),
        "empty": Names.of(listing.empty),
        "other_endings": Names.of(listing.others),
    }
    arrays: Arrays = {
        "labels": listing.labels,
        "stamps": listing.images.stamps,
        "folder_times": listing.folder_times,
        "other_counts": np.array(list(listing.others.values()), np.int64),
    }
    for key, names in lists.items():
        arrays |= {f"{key}_buffer": names.buffer, f"{key}_ends": names.ends}
    save_arrays(path, arrays)


def _read_cache(path: Path, root: Path) -> Optional[Listing]:
    """The list of an earlier run, if it is sound and no folder changed since."""
    arrays = load_arrays(path, _CACHED)
    found = {name: Names.checked(arrays.get(f"{name}_buffer"), arrays.get(f"{name}_ends")) for name in _LISTS}
    lists = {name: names for name, names in found.items() if names is not None}
    if not arrays or len(lists) < len(found) or not _fits(arrays, lists):
        return None
    for folder, changed in zip(lists["folders"], arrays["folder_times"]):
        try:
            if os.stat(os.path.join(root, folder)).st_mtime_ns != changed:
                return None
        except (OSError, ValueError):  # ValueError: a name with a zero byte
            return None
    images = FolderImages(root, lists["names"], arrays["stamps"])
    others = Counter(dict(zip(lists["other_endings"], arrays["other_counts"].tolist())))
    class_names, empty = list(lists["class_names"]), list(lists["empty"])
    return Listing(images, arrays["labels"], class_names, empty, others, lists["folders"], arrays["folder_times"])


def _fits(arrays: Arrays, lists: dict[str, Names]) -> bool:
    """Whether the arrays of a cache file have the types and lengths that belong together."""
    files, classes, labels = len(lists["names"]), len(lists["class_names"]), arrays["labels"]
    shapes = {
        "labels": (files,), "stamps": (files, 2), "folder_times": (len(lists["folders"]),),
        "other_counts": (len(lists["other_endings"]),),
    }  # fmt: skip
    types_fit = all(arrays[key].dtype == kind and arrays[key].shape == shapes[key] for key, kind in _ARRAYS.items())
    return types_fit and (not files or (labels.min() >= 0 and labels.max() < classes))
