"""The images in MindRecord files, read one by one, from several threads.

A file begins with the length of its header, uint64, and the header, JSON: `header_size`, bytes before the first page, and
`page_size`, bytes from page to page. Its `.db`, an SQLite file, has page, start and end of every record in a table INDEXES.
There an image has its length before it, uint64. Numbers are little-endian.

MindSpore's reader needs a pipeline of its own and has no more requests under way than there are cores.
"""

import functools
import json
import os
import sqlite3
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError

_LARGEST_HEADER = 64 << 20  # bytes
_OPEN_FILES = 64
_PREFIX = 8  # bytes: the length before an image
_RECORDS = "SELECT PAGE_ID_BLOB, PAGE_OFFSET_BLOB, PAGE_OFFSET_BLOB_END FROM INDEXES ORDER BY ROW_ID LIMIT ?"


class Records:
    """Files, and where in them each image lies. What the files say is checked before it is used.

    Args:
        paths: of the MindRecord files; records are numbered from file to file.
        sizes: bytes of every image, by number of the record.

    Raises:
        UserError: files that do not hold these images.
    """

    def __init__(self, paths: list[Path], sizes: NDArray[np.int64]):
        self.paths = paths
        found = [_spans(path, len(sizes)) for path in paths]
        self.files = np.repeat(np.arange(len(paths)), [len(spans) for spans in found])
        self.starts, ends = np.concatenate(found).T
        self.sizes = sizes
        if not np.array_equal(ends - self.starts, sizes):
            raise UserError(f"{paths[0].parent}: the records are not those of index.npz")
        self._open = functools.lru_cache(_OPEN_FILES)(_opened)

    def read(self, number: int) -> bytes:
        """The bytes of an image file. Raises UserError where they are not there."""
        path, size = self.paths[self.files[number]], int(self.sizes[number])
        file = self._open(path)  # not closed as long as it has a name here
        content = os.pread(file.fileno(), size, int(self.starts[number]))
        if len(content) < size:
            raise UserError(f"{path}: ends within record {number}")
        return content


def _opened(path: Path) -> BinaryIO:
    return open(path, "rb", buffering=0)  # closed when the last reader lets it go


def _spans(path: Path, most: int) -> NDArray[np.int64]:
    """Where each image of a file starts and ends in it, int64 (images, 2), in the order of the records."""
    size = path.stat().st_size
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, _LARGEST_HEADER)))
        database = sqlite3.connect(f"{path.resolve().as_uri()}.db?mode=ro&immutable=1", uri=True)
        try:
            rows = np.array(database.execute(_RECORDS, (most + 1,)).fetchall(), np.int64).reshape(-1, 3)
        finally:
            database.close()
        header_size, page_size = (np.int64(header[key]) for key in ("header_size", "page_size"))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, sqlite3.Error):
        raise UserError(f"{path}: damaged header or .db") from None
    if not (0 < header_size <= size and page_size > 0) or len(rows) > most or (rows < 0).any() or (rows > size).any():
        raise UserError(f"{path}: its header or .db says what cannot be")
    page, start, end = rows.T
    if (page > size // page_size).any() or (end < start + _PREFIX).any():
        raise UserError(f"{path}: its .db says what cannot be")
    first = header_size + page * page_size
    return np.stack([first + start + _PREFIX, first + end], 1)
