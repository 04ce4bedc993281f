"""Image files packed into a few large MindRecord files: written, checked, opened.

The folder holds `images.mindrecord*` with their `.db` files, `index.npz` (names, labels and sizes, in the order of the image
folder) and `manifest.json` (class names; size and SHA-256 of every file, because MindRecord has no checksums of its own).
A record has `image` (bytes of the file), `label` (int32) and `name` (string), for other programs too.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Optional

import numpy as np
from tqdm import tqdm

from ...errors import UserError
from ...files import write_text
from ...model_info import file_digest
from ...progress import beat
from ..cache import cache_path, load_arrays, pack_json, save_arrays, unpack_json
from ..index import ImageIndex, index_of
from .images import Images, Names

MANIFEST = "manifest.json"
_FORMAT = "image classification, MindRecord, 1"
_INDEX_KEYS = ("names_buffer", "names_ends", "labels", "sizes", "places")
_BATCH = 256  # records per call of MindSpore's writer


class MindRecordImages(Images):
    """Encoded images in MindRecord files.

    Attributes:
        files: the MindRecord files, in the order in which MindSpore must be given them.
        places: where MindSpore finds each image, int64.
        sizes: bytes of each image, int64.
        manifest: content of `manifest.json`.
    """

    kind = "mindrecord"

    def __init__(self, root: Path, manifest: dict, arrays: dict):
        self.root = root
        self.manifest = manifest
        self.files = [str(root / name) for name in manifest["records"]]
        self.names = Names(arrays["names_buffer"], arrays["names_ends"])
        self.sizes = arrays["sizes"]
        self.places = arrays["places"]

    def __len__(self) -> int:
        return len(self.names)

    def name(self, image: int) -> str:
        return self.names[image]

    def digest(self) -> bytes:
        digest = hashlib.sha256(self.kind.encode())
        digest.update(json.dumps([file["sha256"] for file in self.manifest["files"]]).encode())
        return digest.digest()

    def dataset(self, images: np.ndarray, workers: int):
        """A MindSpore data set with the column "image", of these images in this order."""
        from mindspore import dataset as ds

        sampler = ds.SubsetSampler(self.places[images].tolist())
        return ds.MindDataset(self.files, ["image"], num_parallel_workers=workers, sampler=sampler)

    def check(self, cache_dir: Optional[Path] = None) -> None:
        """Compares every file's checksum; files that did not change since the last time are skipped.

        Raises:
            UserError: a file is not what was written.
        """
        cache_file = cache_path(cache_dir, "checksums", self.root) if cache_dir else None
        known = unpack_json(load_arrays(cache_file, ("checked",)).get("checked", pack_json({}))) if cache_file else {}
        checked = {}
        for file in tqdm(self.manifest["files"], desc="checksums", unit="file", disable=not sys.stderr.isatty()):
            path = self.root / file["name"]
            stamp = [file["sha256"], path.stat().st_mtime_ns]
            if known.get(file["name"]) != stamp and file_digest(path) != file["sha256"]:
                raise UserError(f"{path}: damaged or replaced since it was written (its checksum differs); {_REMEDY}")
            checked[file["name"]] = stamp
            beat()
        if cache_file and checked != known:
            save_arrays(cache_file, {"checked": pack_json(checked)})


_REMEDY = "write it again with python -m src.data.tools.prepare to_mindrecord"


def index_mindrecord(root: Path) -> ImageIndex:
    """The images of a folder that `write_mindrecord` wrote; sizes of the files are compared, checksums are not.

    Raises:
        UserError: a file is missing, truncated or of another format.
    """
    try:
        manifest = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise UserError(f"{root / MANIFEST}: format {manifest['format']!r}; expected {_FORMAT!r}; {_REMEDY}")
        sizes = {file["name"]: file["size"] for file in manifest["files"]}
        class_names = tuple(manifest["class_names"])
    except FileNotFoundError:
        raise UserError(f"{root / MANIFEST}: missing; MindRecord files need it beside them; {_REMEDY}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{root / MANIFEST}: cannot be read; {_REMEDY}") from None
    for name, size in sizes.items():
        path = root / name
        if not path.is_file():
            raise UserError(f"{path}: missing; {_REMEDY}")
        if path.stat().st_size != size:
            raise UserError(f"{path}: {path.stat().st_size} bytes instead of {size}: truncated or replaced; {_REMEDY}")
    arrays = load_arrays(root / "index.npz", _INDEX_KEYS)
    if not arrays:
        raise UserError(f"{root / 'index.npz'}: damaged; {_REMEDY}")
    return index_of(MindRecordImages(root, manifest, arrays), arrays["labels"], class_names)


def write_mindrecord(index: ImageIndex, output: Path, shards: int) -> None:
    """Packs the files of an index of a folder into `shards` MindRecord files in the new folder `output`.

    Every record is read back and compared. The folder appears when all is well; until then its name ends in .part.

    Raises:
        UserError: `output` exists, a name is no text, or a record read back is not what was written.
    """
    if output.exists():
        raise UserError(f"output: '{output}' exists already; choose another folder")
    temporary = output.with_name(f"{output.name}.{os.getpid()}.part")
    temporary.mkdir(parents=True)
    try:
        digests = _write_records(index, temporary / "images.mindrecord", shards)
        records = sorted(path.name for path in temporary.iterdir() if path.suffix != ".db")
        places = _read_back(index, [str(temporary / name) for name in records], digests)
        names = Names.of(index.files)
        sizes = np.array([size for _, size in digests], np.int64)
        content = (names.buffer, names.ends, index.labels, sizes, places)
        save_arrays(temporary / "index.npz", dict(zip(_INDEX_KEYS, content)))
        files = [
            {"name": path.name, "size": path.stat().st_size, "sha256": file_digest(path)}
            for path in sorted(temporary.iterdir())
        ]
        manifest = {"format": _FORMAT, "class_names": index.class_names, "records": records, "files": files}
        write_text(temporary / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        for path in temporary.iterdir():
            path.chmod(0o644)  # MindSpore writes files that others cannot read
        temporary.rename(output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_records(index: ImageIndex, path: Path, shards: int) -> list:
    """Writes the records; returns SHA-256 and size of every image."""
    from mindspore.mindrecord import FileWriter

    writer = FileWriter(str(path), shard_num=shards)
    writer.add_schema({"image": {"type": "bytes"}, "label": {"type": "int32"}, "name": {"type": "string"}}, "images")
    digests, records = [], []
    for position in tqdm(range(len(index)), desc="writing", unit="img", disable=not sys.stderr.isatty()):
        content, name = index.read(position).tobytes(), index.name(position)
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(f"{index.root}: the name {name!r} is no text, which MindRecord needs; rename the file") from None
        digests.append((hashlib.sha256(content).digest(), len(content)))
        records.append({"image": content, "label": int(index.labels[position]), "name": name})
        if len(records) == _BATCH or position == len(index) - 1:
            writer.write_raw_data(records)
            records = []
    writer.commit()
    return digests


def _read_back(index: ImageIndex, files: list, digests: list) -> np.ndarray:
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
