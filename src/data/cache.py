"""What is kept between runs, in files of arrays that anybody may delete.

Of several runs that write one file each writes a temporary file of its own and puts it in place whole: what the last one
found stays, all of it is true, and nobody has to wait.
"""

import hashlib
import io
import json
import logging
import math
import os
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..files import replacing

log = logging.getLogger("resnet_zoo")

Arrays = dict[str, NDArray[Any]]


def cache_path(cache_dir: Path, kind: str, root: Path) -> Path:
    """The cache file of this kind for a folder."""
    return cache_dir / f"{kind}-{hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]}.npz"


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Writes a cache file; where that fails, says so and goes on."""
    try:
        write_arrays(path, arrays)
    except UserError as error:
        log.warning("not kept for the next run: %s", error)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Writes arrays with checksums, uncompressed. Raises UserError where that fails."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for key, array in arrays.items():
            # NumPy's own `savez` leaves the archive open when a disk is full, and Python complains of it later.
            with archive.open(f"{key}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array), allow_pickle=False)


def load_arrays(path: Path, keys: tuple[str, ...]) -> Arrays:
    """Reads these arrays of a cache file, which bear checksums. Returns {} where there is none or it is damaged.

    Nothing is unpacked: a file takes no more memory than it has bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [archive.getinfo(f"{key}.npy") for key in keys]
            if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size for entry in entries):
                return {}
            return {key: _read_array(archive, entry) for key, entry in zip(keys, entries)}
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, MemoryError, struct.error, zipfile.BadZipFile):
        return {}


def _read_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    """One array. Raises ValueError where its header promises another number of bytes than there are."""
    content = archive.read(entry)  # compares the checksum
    header = io.BytesIO(content)
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError(f"{entry.filename}: not what save_arrays writes")
    shape, by_columns, kind = np.lib.format.read_array_header_1_0(header)
    if by_columns or kind.hasobject or math.prod(shape) * kind.itemsize != len(content) - header.tell():
        raise ValueError(f"{entry.filename}: {shape} of {kind} in {len(content)} bytes")
    return np.frombuffer(content, kind, offset=header.tell()).reshape(shape)


def pack_json(content: Mapping[Any, Any]) -> NDArray[np.uint8]:
    """JSON as an array of bytes, for `save_arrays`."""
    return np.frombuffer(json.dumps(content).encode(), np.uint8)


def unpack_json(packed: NDArray[np.uint8]) -> dict[str, Any]:
    """The reverse of `pack_json`; {} where it is something else."""
    try:
        content = json.loads(packed.tobytes())
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
