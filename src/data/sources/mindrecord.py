"""Image files packed into a few large MindRecord files: written, checked, opened.

The folder holds `images.mindrecord*` with their `.db` files, `index.npz` (names, labels and sizes, in the order of the image
folder) and `manifest.json` (class names; size and SHA-256 of every file, because MindRecord has no checksums of its own).
A record has `image` (bytes of the file), `label` (int32) and `name` (string), for other programs too.
"""

import hashlib
import json
import threading
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from ...errors import UserError, first_line
from ...files import is_utf8, write_text
from ...model_info import file_digest
from ...progress import bar, beat
from ..cache import Arrays, cache_path, load_arrays, pack_json, save_arrays, unpack_json, write_arrays
from ..image_formats import ImageError, for_mindspore
from ..index import ImageIndex, index_of
from .images import Images, Names
from .records import Records

MANIFEST = "manifest.json"
_FORMAT = "image classification, MindRecord, 1"
_INDEX_TYPES = {"names_buffer": "u1", "names_ends": "i8", "labels": "i4", "sizes": "i8", "places": "i8"}
_LARGEST_MANIFEST = 64 << 20  # bytes; that of a million classes has 20 MB
_BATCH = 256  # records per call of MindSpore's writer


_FileName = Annotated[str, Field(pattern=r"^[^/\x00]*[^/\x00.][^/\x00]*$", max_length=255)]  # in the folder itself


class _File(BaseModel, strict=True):
    """A file as the manifest lists it."""

    name: _FileName
    size: Annotated[int, Field(ge=0, lt=1 << 62)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Manifest(BaseModel, strict=True):
    """Content of `manifest.json`."""

    format: str
    class_names: list[str] = []
    records: Annotated[list[_FileName], Field(max_length=1000)] = []
    files: Annotated[list[_File], Field(max_length=10_000)] = []


class MindRecordImages(Images):
    """Encoded images in MindRecord files.

    Attributes:
        places: numbers of the records of the images, from file to file, int64.
        sizes: bytes of each image, int64.
        manifest: content of `manifest.json`.
    """

    kind = "mindrecord"

    def __init__(self, root: Path, manifest: _Manifest, arrays: Arrays):
        self.root = root
        self.manifest = manifest
        self.names = Names(arrays["names_buffer"], arrays["names_ends"])
        self.sizes = arrays["sizes"]
        self.places = arrays["places"]
        self._opening = threading.Lock()
        self._records: Optional[Records] = None

    def __len__(self) -> int:
        return len(self.names)

    def name(self, image: int) -> str:
        return self.names[image]

    def digest(self) -> bytes:
        digest = hashlib.sha256(self.kind.encode())
        digest.update(json.dumps([file.sha256 for file in self.manifest.files]).encode())
        return digest.digest()

    def read(self, image: int) -> NDArray[np.uint8]:
        with self._opening:
            if self._records is None:
                sizes = np.empty_like(self.sizes)
                sizes[self.places] = self.sizes
                self._records = Records([self.root / name for name in self.manifest.records], sizes)
        try:
            content = self._records.read(int(self.places[image]))
            return np.frombuffer(for_mindspore(content), np.uint8)
        except ImageError as error:
            raise UserError(f"{self.root / self.name(image)}: {error}") from None

    def check(self, cache_dir: Optional[Path] = None) -> None:
        """Compares every file's checksum; files that did not change since the last time are skipped.

        Raises:
            UserError: a file is not what was written.
        """
        cache_file = cache_path(cache_dir, "checksums", self.root) if cache_dir else None
        known = unpack_json(load_arrays(cache_file, ("checked",)).get("checked", pack_json({}))) if cache_file else {}
        checked = {}
        for file in bar(self.manifest.files, desc="checksums", unit="file"):
            path = self.root / file.name
            stamp = [file.sha256, path.stat().st_mtime_ns]
            if known.get(file.name) != stamp and file_digest(path) != file.sha256:
                raise UserError(f"{path}: damaged or replaced since it was written (its checksum differs); {_REMEDY}")
            checked[file.name] = stamp
            beat()
        if cache_file and checked != known:
            save_arrays(cache_file, {"checked": pack_json(checked)})


_REMEDY = "write it again with python -m src.data.tools.prepare to_mindrecord"


def index_mindrecord(root: Path) -> ImageIndex:
    """The images of a folder that `write_mindrecord` wrote; sizes of the files are compared, checksums are not.

    What manifest and index say is checked before it is used.

    Raises:
        UserError: a file is missing, truncated or of another format, or says what cannot be.
    """
    manifest = _read_manifest(root / MANIFEST)
    for file in manifest.files:
        path = root / file.name
        if not path.is_file():
            raise UserError(f"{path}: missing; {_REMEDY}")
        if path.stat().st_size != file.size:
            raise UserError(f"{path}: {path.stat().st_size} bytes instead of {file.size}: truncated or replaced; {_REMEDY}")
    arrays = load_arrays(root / "index.npz", tuple(_INDEX_TYPES))
    if not arrays or not _fit(arrays, manifest):
        raise UserError(f"{root / 'index.npz'}: damaged; {_REMEDY}")
    return index_of(MindRecordImages(root, manifest, arrays), arrays["labels"], manifest.class_names)


def _read_manifest(path: Path) -> _Manifest:
    try:
        if path.stat().st_size > _LARGEST_MANIFEST:
            raise UserError(f"{path}: larger than {_LARGEST_MANIFEST >> 20} MB; {_REMEDY}")
        manifest = _Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: missing; MindRecord files need it beside them; {_REMEDY}") from None
    except (OSError, ValidationError):
        raise UserError(f"{path}: cannot be read; {_REMEDY}") from None
    if manifest.format != _FORMAT:
        raise UserError(f"{path}: format {manifest.format[:100]!r}; expected {_FORMAT!r}; {_REMEDY}")
    names = [file.name for file in manifest.files]
    repeats = any(len(set(each)) < len(each) for each in (names, manifest.records, manifest.class_names))
    if repeats or not manifest.records or not {"index.npz", *manifest.records} <= set(names):
        raise UserError(f"{path}: its lists of files and classes do not fit each other; {_REMEDY}")
    return manifest


def _fit(arrays: Arrays, manifest: _Manifest) -> bool:
    """Whether the arrays of an index can be those of the files in the manifest."""
    if any(arrays[key].dtype != kind or arrays[key].ndim != 1 for key, kind in _INDEX_TYPES.items()):
        return False
    buffer, ends, labels, sizes, places = (arrays[key] for key in _INDEX_TYPES)
    count = len(ends)
    if not count or any(len(each) != count for each in (labels, sizes, places)):
        return False
    if ends[0] < 1 or (np.diff(ends) < 1).any() or ends[-1] != len(buffer) or np.diff(ends).max(initial=ends[0]) > 4096:
        return False
    if labels.min() < 0 or labels.max() >= len(manifest.class_names) or places.min() < 0 or places.max() >= count:
        return False
    there = {file.name: file.size for file in manifest.files}
    total = sum(there[name] for name in manifest.records)
    is_once_each = (np.bincount(places, minlength=count) == 1).all()
    return bool(is_once_each and sizes.min() >= 0 and sizes.max() <= total and sizes.sum(dtype=object) <= total)


def write_mindrecord(index: ImageIndex, output: Path, shards: int) -> None:
    """Packs the files of an index of a folder into `shards` MindRecord files in the new folder `output`.

    Every record is read back and compared.

    Raises:
        UserError: a name is no text, a file cannot be written, or a record read back is not what was written.
        OSError: a full disk.
    """
    odd = next((name for name in index.files if not is_utf8(name)), None)
    if odd:
        raise UserError(f"{index.root}: the name {odd!r} is no text, which MindRecord needs; rename the file")
    output.mkdir(parents=True, exist_ok=True)
    digests = _write_records(index, output / "images.mindrecord", shards)
    records = sorted(path.name for path in output.iterdir() if path.suffix != ".db")
    places = _read_back(index, [str(output / name) for name in records], digests)
    names = Names.of(index.files)
    sizes = np.array([size for _, size in digests], np.int64)
    content = (names.buffer, names.ends, index.labels, sizes, places)
    write_arrays(output / "index.npz", dict(zip(_INDEX_TYPES, content)))
    files = [
        {"name": path.name, "size": path.stat().st_size, "sha256": file_digest(path)} for path in sorted(output.iterdir())
    ]
    manifest = {"format": _FORMAT, "class_names": index.class_names, "records": records, "files": files}
    write_text(output / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _write_records(index: ImageIndex, path: Path, shards: int) -> list[tuple[bytes, int]]:
    """Writes the records; returns SHA-256 and size of every image."""
    from mindspore.mindrecord import FileWriter
    from mindspore.mindrecord.common.exceptions import MindRecordException

    digests, records = [], []
    try:
        writer = FileWriter(str(path), shard_num=shards)
        writer.add_schema({"image": {"type": "bytes"}, "label": {"type": "int32"}, "name": {"type": "string"}}, "images")
        for position in bar(range(len(index)), desc="writing", unit="img"):
            content = index.read(position).tobytes()
            digests.append((hashlib.sha256(content).digest(), len(content)))
            records.append({"image": content, "label": int(index.labels[position]), "name": index.name(position)})
            if len(records) == _BATCH or position == len(index) - 1:
                writer.write_raw_data(records)
                records = []
        writer.commit()
    except (RuntimeError, MindRecordException) as error:
        reason = next((line for line in str(error).splitlines() if line.startswith("[ERROR]")), first_line(error))
        raise UserError(f"output: MindSpore cannot write the records: {reason}; free space or choose another disk") from None
    return digests


def _read_back(index: ImageIndex, files: list[str], digests: list[tuple[bytes, int]]) -> NDArray[np.int64]:
    """Compares every record with what was written; returns the place of every image in MindSpore's order, int64."""
    from mindspore import dataset as ds

    columns = ["image", "label", "name"]
    number = {name: position for position, name in enumerate(index.files)}
    places = np.full(len(index), -1, np.int64)
    records = ds.MindDataset(files, columns, shuffle=False, num_parallel_workers=1)
    iterator = records.create_tuple_iterator(num_epochs=1, output_numpy=True)
    for place, (image, label, name) in enumerate(iterator):
        position = number.get(str(name), -1)
        same = position >= 0 and hashlib.sha256(image.tobytes()).digest() == digests[position][0]
        if not same or places[position] >= 0 or int(label) != index.labels[position]:
            raise UserError(f"output: record {place} ({name}) is not what was written; check the disk and try again")
        places[position] = place
    if (places < 0).any():
        raise UserError(f"output: {(places < 0).sum()} of {len(index)} records are missing; check the disk and try again")
    return places
