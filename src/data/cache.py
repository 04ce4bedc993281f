"""What is kept between runs, in files of arrays that anybody may delete."""

import hashlib
import io
import json
import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import replacing

log = logging.getLogger("resnet_zoo")


def cache_path(cache_dir: Path, kind: str, root: Path) -> Path:
    """The cache file of this kind for a folder."""
    return cache_dir / f"{kind}-{hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16]}.npz"


def save_arrays(path: Path, arrays: dict) -> None:
    """Writes a cache file; where that fails, says so and goes on."""
    try:
        write_arrays(path, arrays)
    except UserError as error:
        log.warning("not kept for the next run: %s", error)


def write_arrays(path: Path, arrays: dict) -> None:
    """Writes arrays with checksums, uncompressed. Raises UserError where that fails."""
    content = io.BytesIO()  # a zip file on a full disk complains once more when it is collected
    np.savez(content, **arrays)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_arrays(path: Path, keys: tuple) -> dict:
    """Reads these arrays of a cache file, which bear checksums. Returns {} where there is none or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {key: content[key] for key in keys}
    except (OSError, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile):
        return {}


def pack_json(content) -> np.ndarray:
    """JSON as an array of bytes, for `save_arrays`."""
    return np.frombuffer(json.dumps(content).encode(), np.uint8)


def unpack_json(packed: np.ndarray):
    """The reverse of `pack_json`."""
    return json.loads(packed.tobytes())
