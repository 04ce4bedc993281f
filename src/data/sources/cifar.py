"""CIFAR-10 and CIFAR-100 in their binary version, as https://www.cs.toronto.edu/~kriz/cifar.html describes it.

A file is a row of records: the label bytes (one, or with CIFAR-100 coarse and fine), then 3 x 32 x 32 bytes of red, green
and blue.
"""

import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError
from ..index import ImageIndex, index_of
from .images import Images

log = logging.getLogger("resnet_zoo")

_SIDE = 32
# kind -> files by part, label bytes, classes, file of class names, images per file as published
_FORMATS: dict[str, dict[str, Any]] = {
    "cifar10": {
        "train": [f"data_batch_{i}.bin" for i in range(1, 6)], "val": ["test_batch.bin"],
        "label_bytes": 1, "classes": 10, "names": "batches.meta.txt", "images": {"train": 10_000, "val": 10_000},
    },
    "cifar100": {
        "train": ["train.bin"], "val": ["test.bin"],
        "label_bytes": 2, "classes": 100, "names": "fine_label_names.txt", "images": {"train": 50_000, "val": 10_000},
    },
}  # fmt: skip


class CifarImages(Images):
    """Pixels (32, 32, 3) in record files.

    Attributes:
        files: paths of the record files.
        records: their content, mapped into memory, uint8 (records, label bytes + 3072) each.
    """

    encoded = False
    block = 16

    def __init__(self, root: Path, kind: str, files: list[Path], label_bytes: int):
        self.root = root
        self.kind = kind
        self.files = files
        self.label_bytes = label_bytes
        self.records = [_read_records(path, label_bytes + 3 * _SIDE * _SIDE) for path in files]
        self.streams = [open(path, "rb", buffering=0) for path in files]  # noqa: SIM115 - open as long as the images
        self.starts = np.cumsum([0] + [len(records) for records in self.records])

    def __len__(self) -> int:
        return int(self.starts[-1])

    @property
    def labels(self) -> NDArray[np.int32]:
        """Class numbers, with CIFAR-100 the fine ones, int32 (images,)."""
        return np.concatenate([records[:, self.label_bytes - 1] for records in self.records]).astype(np.int32)

    def name(self, image: int) -> str:
        file, record = self._find(image)
        return f"{self.files[file].name}:{record}"

    def read(self, image: int) -> NDArray[np.uint8]:
        file, record = self._find(image)
        size, start = 3 * _SIDE * _SIDE, record * self.records[file].shape[1] + self.label_bytes
        content = os.pread(self.streams[file].fileno(), size, start)  # a map would stop all readers while one waits
        if len(content) < size:
            raise UserError(f"{self.files[file]}: ends within record {record}; truncated since the run began")
        return np.ascontiguousarray(np.frombuffer(content, np.uint8).reshape(3, _SIDE, _SIDE).transpose(1, 2, 0))

    def digest(self) -> bytes:
        digest = hashlib.sha256(self.kind.encode())
        for records in self.records:
            digest.update(records.data)
        return digest.digest()

    def _find(self, image: int) -> tuple[int, int]:
        file = int(np.searchsorted(self.starts, image, side="right")) - 1
        return file, image - int(self.starts[file])


def cifar_kind(root: Path) -> str:
    """ "cifar10" or "cifar100" for a folder that holds files of that name, otherwise ""."""
    for kind, about in _FORMATS.items():
        if any((root / name).is_file() for name in (*about["train"], *about["val"])):
            return kind
    return ""


def index_cifar(root: Path, kind: str, part: str) -> ImageIndex:
    """The images of one part.

    Args:
        kind: "cifar10" or "cifar100".
        part: "train" or "val", which is the published test part.

    Raises:
        UserError: a file is missing, has a wrong size or a label beyond the classes.
    """
    about = _FORMATS[kind]
    files = [root / name for name in about[part]]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise UserError(f"data_dir: '{root}' lacks {', '.join(missing)} of the binary version of {kind}")
    images = CifarImages(root, kind, files, about["label_bytes"])
    for path, records in zip(images.files, images.records):
        if len(records) != about["images"][part]:
            log.warning("%s: holds %d images; as published it holds %d", path, len(records), about["images"][part])
    labels = images.labels
    beyond = np.flatnonzero(labels >= about["classes"])
    if len(beyond):
        name, label = images.name(int(beyond[0])), labels[beyond[0]]
        raise UserError(f"{root / name}: label {label}, but {kind} has {about['classes']} classes; damaged or other format")
    return index_of(images, labels, _class_names(root / about["names"], about["classes"]))


def _read_records(path: Path, length: int) -> NDArray[np.uint8]:
    size = path.stat().st_size
    if not size or size % length:
        raise UserError(f"{path}: {size} bytes, which is no multiple of a record's {length}; truncated, or another format")
    return np.memmap(path, np.uint8, "r").reshape(-1, length)


def _class_names(path: Path, classes: int) -> tuple[str, ...]:
    """The names in the file that comes with the data, or numbers where it is missing."""
    if not path.is_file():
        return tuple(map(str, range(classes)))
    names = tuple(line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip())
    if len(names) != classes or len(set(names)) != classes:
        raise UserError(f"{path}: {len(set(names))} class names; expected {classes}, one a line")
    return names
