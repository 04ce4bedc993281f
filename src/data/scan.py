"""Finds image files that cannot be decoded before MindSpore meets them: on some its decoder ends the process.

"full" decodes every file with Pillow, which also finds truncated data; "headers" reads sizes and formats only. What was
found is kept by file size and time of change, so that a second scan of the same files only looks at those.
benchmarks/scan.py measures the cost per million files.
"""

import contextlib
import hashlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Optional

from PIL import Image
from tqdm import tqdm

from src.data.index import ImageIndex
from src.errors import UserError
from src.files import write_text

log = logging.getLogger("resnet_zoo")

_CHUNK = 256  # files per task; processes are started only for more than this


def usable_images(index: ImageIndex, scan: str, bad_images: str, cache_dir: Path, workers: int) -> ImageIndex:
    """The images that can be decoded.

    Args:
        index: the images to check.
        scan: "full", "headers" or "off".
        bad_images: "stop" raises when there are bad files, "skip" leaves them out and says so.
        cache_dir: folder for the results of earlier scans.
        workers: number of processes.

    Raises:
        UserError: bad files, all of them listed on the log; or none is left.
    """
    if scan == "off":
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
    """When MindSpore's pipeline fails inside the block: raises UserError naming the files of the index that are bad.

    MindSpore's own error does not name the file. Where no file is bad its error goes on.
    """
    try:
        yield
    except RuntimeError:
        problems = {i: check_image(str(index.path(i)), "full") for i in range(len(index))}
        problems = {i: problem for i, problem in problems.items() if problem}
        if not problems:
            raise
        raise UserError(_report(index, problems) + "; repair or remove them, or pass --scan full") from None


def find_problems(index: ImageIndex, scan: str, cache_dir: Path, workers: int) -> dict:
    """Position -> what is wrong, for the files of an index that cannot be decoded."""
    cache_file = cache_dir / f"scan-{scan}-{hashlib.sha256(os.path.realpath(index.root).encode()).hexdigest()[:16]}.json"
    known = _read_cache(cache_file)
    stamps = [_stamp(index.path(i)) for i in range(len(index))]
    results = {}
    for i, name in enumerate(index.files):
        stamp, problem = known.get(name, (None, None))
        if stamp is not None and stamp == stamps[i]:
            results[i] = problem
    pending = [i for i in range(len(index)) if i not in results]
    if pending:
        for i, problem in zip(pending, _check_all([str(index.path(i)) for i in pending], scan, workers)):
            results[i] = problem
        known.update({index.files[i]: (stamps[i], results[i]) for i in pending})
        _write_cache(cache_file, known)
    return {i: problem for i, problem in sorted(results.items()) if problem}


def check_image(path: str, scan: str) -> Optional[str]:
    """What is wrong with an image file, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities that decode all the same
            with Image.open(path) as image:
                if image.format in ("GIF", "WEBP"):
                    return f"is a {image.format} file, which MindSpore does not decode"
                if scan == "full":
                    # JPEG may decode at 1/8 of its size: all its data is read, but less is computed.
                    image.draft("RGB", (image.width // 8, image.height // 8))
                    image.load()
    except Image.UnidentifiedImageError:
        return "is not an image" if os.path.getsize(path) else "is empty"
    except OSError as error:
        return error.strerror or str(error)
    except Image.DecompressionBombError:
        return "has more pixels than is safe to decode"
    except Exception as error:  # Pillow raises SyntaxError, ValueError, struct.error and more on broken files
        return f"cannot be decoded ({error})"
    return None


def _report(index: ImageIndex, problems: dict) -> str:
    """Logs every bad file and returns a summary."""
    for position, problem in problems.items():
        log.warning("cannot be used: %s: %s", index.path(position), problem)
    first = min(problems)
    count = f"{len(problems)} of {len(index)} images cannot be decoded"
    return f"{index.root}: {count}, first {index.path(first)} ({problems[first]})"


def _check_all(paths: list, scan: str, workers: int) -> list:
    progress = tqdm(total=len(paths), desc=f"checking images ({scan})", unit="img", disable=not sys.stderr.isatty())
    with progress:
        if len(paths) <= _CHUNK or workers == 1:
            problems = []
            for path in paths:
                problems.append(check_image(path, scan))
                progress.update()
            return problems
        # Fresh processes, because forking one whose MindSpore threads run can hang.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            problems = []
            for problem in pool.map(check_image, paths, repeat(scan), chunksize=_CHUNK):
                problems.append(problem)
                progress.update()
            return problems


def _stamp(path: Path) -> Optional[list]:
    """Size in bytes and time of change in nanoseconds, None for a file that cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read_cache(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # no scan so far, or a damaged file: scan again


def _write_cache(path: Path, content: dict) -> None:
    try:
        write_text(path, json.dumps(content))
    except UserError as error:
        log.warning("the scan's result is not kept: %s", error)
