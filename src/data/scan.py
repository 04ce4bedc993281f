"""Finds image files that cannot be used (`image_formats`) before MindSpore meets them.

"full" decodes every file with Pillow, which also finds truncated and damaged data; MindSpore's decoder is known to end the
process on some of it. "headers" reads sizes and formats only, for files that were checked before. What was
found is kept by file size and time of change, so that a second scan of the same files only looks at those.
benchmarks/scan.py measures the cost per million files.
"""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..progress import bar, beat
from .cache import cache_path, load_arrays, pack_json, save_arrays, unpack_json
from .image_formats import RULE, find_problem
from .index import ImageIndex
from .read_ahead import HangingError
from .sources.folder import FolderImages
from .sources.images import Names
from .sources.mindrecord import MindRecordImages

log = logging.getLogger("resnet_zoo")

_CHUNK = 256  # files per task
_SINGLE = {"full": 256, "headers": 4096}  # files that one process may check while others would still be starting
_ROUND = 65_536  # files whose paths are in memory at a time


def usable_images(index: ImageIndex, scan: str, bad_images: str, cache_dir: Path, workers: int) -> ImageIndex:
    """The images that can be decoded.

    Args:
        index: the images to check. Of MindRecord files "full" compares the checksums; CIFAR's pixels are all valid.
        scan: "full", "headers" or "off".
        bad_images: "stop" raises when there are bad files, "skip" leaves them out and says so.
        cache_dir: folder for the results of earlier scans.
        workers: number of processes.

    Raises:
        UserError: bad files, all of them listed on the log; or none is left.
    """
    if scan == "full" and isinstance(index.images, MindRecordImages):
        index.images.check(cache_dir)
    if scan == "off" or not isinstance(index.images, FolderImages):
        return index
    problems = find_problems(index, scan, cache_dir, workers)
    if not problems:
        return index
    summary = _report(index, problems)
    if bad_images == "stop":
        raise UserError(f"{summary}; repair or remove them, or pass --bad_images skip")
    if len(problems) == len(index):
        raise UserError(f"{summary}; none is left")
    log.warning("%s: %d of %d images are left out", index.root, len(problems), len(index))
    return index.without(set(problems))


@contextlib.contextmanager
def naming_bad_images(index: ImageIndex) -> Iterator[None]:
    """When MindSpore's pipeline fails inside the block: raises UserError naming the files that are bad.

    MindSpore's own error does not name the file. Where no file is bad its error goes on. A file that hangs is named alone.
    """
    try:
        yield
    except RuntimeError as error:
        failure = index.images.failure
        if isinstance(failure, HangingError):
            raise failure from None
        if isinstance(index.images, MindRecordImages):
            index.images.check()
        if isinstance(index.images, FolderImages):
            checks = _check_all(index.images, index.rows, "full", workers=1)
            problems = {position: problem for position, problem in enumerate(checks) if problem}
            if problems:
                raise UserError(_report(index, problems) + "; repair or remove them, or pass --scan full") from None
        raise failure or error from None


class _Known(NamedTuple):
    """What earlier scans found: names and stamps as in FolderImages, and number -> what is wrong."""

    names: Names
    stamps: NDArray[np.int64]
    problems: dict[int, str]


def find_problems(index: ImageIndex, scan: str, cache_dir: Path, workers: int) -> dict[int, str]:
    """Position -> what is wrong, for the files of an index of files that cannot be decoded."""
    images = index.images
    assert isinstance(images, FolderImages), f"images of kind {images.kind} are no files"
    cache_file = cache_path(cache_dir, f"scan-{scan}-{RULE}", index.root)
    known = _read_cache(cache_file)
    earlier = _places(images.names, known.names)
    checked = (earlier >= 0) & (images.stamps[:, 0] >= 0)
    checked[checked] = (known.stamps[earlier[checked]] == images.stamps[checked]).all(1)
    bad = np.flatnonzero(checked & np.isin(earlier, list(known.problems)))
    problems = {int(row): known.problems[int(earlier[row])] for row in bad}

    pending = index.rows[~checked[index.rows]]
    if len(pending):
        found = zip(pending, _check_all(images, pending, scan, workers))
        problems.update({int(row): problem for row, problem in found if problem})
        checked[pending] = True
        now = _Known(images.names, np.where(checked[:, None], images.stamps, -2), problems)
        _write_cache(cache_file, now, known, earlier)
    positions = np.flatnonzero(np.isin(index.rows, list(problems)))
    return {int(position): problems[int(index.rows[position])] for position in positions}


def _report(index: ImageIndex, problems: dict[int, str]) -> str:
    """Logs every bad file and returns a summary."""
    for position, problem in problems.items():
        log.warning("cannot be used: %s: %s", index.path(position), problem)
    first = min(problems)
    count = f"{len(problems)} of {len(index)} images cannot be decoded"
    return f"{index.root}: {count}, first {index.path(first)} ({problems[first]})"


def _check_all(images: FolderImages, rows: NDArray[np.int64], scan: str, workers: int) -> list[Optional[str]]:
    problems: list[Optional[str]] = []
    progress = bar(total=len(rows), desc=f"checking images ({scan})", unit="img")
    several = None
    # Fresh processes, because forking one whose MindSpore threads run can hang.
    if len(rows) > _SINGLE[scan] and workers > 1:
        several = ProcessPoolExecutor(workers, get_context("spawn"), warnings.simplefilter, ("ignore",))
    with progress, several or contextlib.nullcontext(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of oddities that decode all the same
        for start in range(0, len(rows), _ROUND):
            paths = [os.path.join(images.root, images.name(int(row))) for row in rows[start : start + _ROUND]]
            check = partial(several.map, chunksize=_CHUNK) if several else map
            for problem in check(partial(find_problem, whole=scan == "full"), paths):
                problems.append(problem)
                progress.update()
                if len(problems) % _CHUNK == 0:
                    beat()
    return problems


def _places(names: Names, others: Names) -> NDArray[np.int64]:
    """Where each name stands in another list, int64 (names,); -1 where it does not."""
    if names.equals(others):
        return np.arange(len(names))
    place = {name: i for i, name in enumerate(others)}
    return np.fromiter((place.get(name, -1) for name in names), np.int64, len(names))


def _read_cache(path: Path) -> _Known:
    arrays = load_arrays(path, ("names_buffer", "names_ends", "stamps", "problems"))
    names = Names.checked(arrays.get("names_buffer"), arrays.get("names_ends"))
    problems = unpack_json(arrays["problems"]) if arrays else {}
    if names is None or not _fits(names, arrays["stamps"], problems):  # no scan so far, or a damaged file
        return _Known(Names.of([]), np.empty((0, 2), np.int64), {})
    return _Known(names, arrays["stamps"], {int(row): problem for row, problem in problems.items()})


def _fits(names: Names, stamps: NDArray[Any], problems: dict[str, Any]) -> bool:
    if stamps.dtype != np.int64 or stamps.shape != (len(names), 2):
        return False
    rows_fit = all(row.isdecimal() and len(row) < 19 and int(row) < len(names) for row in problems)
    return rows_fit and all(isinstance(problem, str) for problem in problems.values())


def _write_cache(path: Path, now: _Known, known: _Known, earlier: NDArray[np.int64]) -> None:
    """Keeps what is known of the files of this index, and what was known of others, those at `earlier` aside."""
    others = np.setdiff1d(np.arange(len(known.names)), earlier)
    names = Names.join([now.names, Names.of(known.names[int(row)] for row in others)])
    problems = dict(now.problems)
    for i, row in enumerate(others):
        if int(row) in known.problems:
            problems[len(now.names) + i] = known.problems[int(row)]
    stamps = np.concatenate([now.stamps, known.stamps[others]])
    arrays = {"names_buffer": names.buffer, "names_ends": names.ends, "stamps": stamps, "problems": pack_json(problems)}
    save_arrays(path, arrays)
