"""The readers of data sets: good files, how they are changed, and what reads them."""

import contextlib
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
from changes import Reader, as_bytes, json_bytes
from hypothesis import strategies as st
from mindspore.dataset import vision
from PIL import Image

from conftest import write_image
from src.data.image_formats import decode, find_problem, for_mindspore
from src.data.scan import find_problems
from src.data.sources.folder import index_folder
from src.data.sources.mindrecord import index_mindrecord
from src.data.sources.records import Records
from src.errors import UserError
from src.evaluation.embeddings import read_embeddings
from src.evaluation.suspects import find_suspects
from src.model_info import file_digest


def arrays_of(content: dict) -> bytes:
    packed = io.BytesIO()
    np.savez(packed, **content)
    return packed.getvalue()


def mindrecord_manifests(folder: Path) -> Reader:
    root, good = _mindrecord(folder)
    return Reader(root / "manifest.json", json_bytes([good]), lambda: index_mindrecord(root))


def mindrecord_indices(folder: Path) -> Reader:
    root, good = _mindrecord(folder)
    seed = (root / "index.npz").read_bytes()
    manifest = root / "manifest.json"

    def read() -> None:
        size = (root / "index.npz").stat().st_size  # as whoever changes the one would change the other
        good["files"][-1]["size"] = size
        manifest.write_text(json.dumps(good))
        index_mindrecord(root)

    odd = st.sampled_from([
        {"labels": np.array([0, 9], np.int32)}, {"places": np.array([0, 0])}, {"sizes": np.array([-1, 2**62])},
        {"names_ends": np.array([2**40, 2])}, {"names_ends": np.array([5, 3])}, {"labels": np.array(["a", "b"])},
        {"sizes": np.zeros((2, 2), np.int64)}, {"names_buffer": np.zeros(0, np.uint8)}, {"labels": np.array([np.nan, 1.0])},
    ])  # fmt: skip
    changed = st.one_of(as_bytes([seed]), odd.map(lambda change: arrays_of({**_INDEX, **change})))
    return Reader(root / "index.npz", changed, read)


def record_files(folder: Path) -> Reader:
    path, read = _records(folder)
    return Reader(path, as_bytes([path.read_bytes()]), read)


def record_databases(folder: Path) -> Reader:
    path, read = _records(folder)
    database = path.with_name(path.name + ".db")
    return Reader(database, as_bytes([database.read_bytes()]), read)


def _records(folder: Path) -> tuple:
    path = folder / "images.mindrecord"
    head = json.dumps({"header_size": 200, "page_size": 100}).encode()
    path.write_bytes((len(head).to_bytes(8, "little") + head).ljust(200) + b"l" * 8 + b"abc" + b"l" * 8 + b"defg")
    with contextlib.closing(sqlite3.connect(f"{path}.db")) as database, database:
        database.execute(
            "CREATE TABLE INDEXES(ROW_ID INT, PAGE_ID_BLOB INT, PAGE_OFFSET_BLOB INT, PAGE_OFFSET_BLOB_END INT)"
        )
        database.executemany("INSERT INTO INDEXES VALUES (?, 0, ?, ?)", [(0, 0, 11), (1, 11, 23)])

    def read() -> None:
        records = Records([path], np.array([3, 4]))
        assert [len(records.read(number)) for number in (0, 1)] == [3, 4]

    read()
    return path, read


_INDEX = {"names_buffer": np.frombuffer(b"a.jpgb.jpg", np.uint8), "names_ends": np.array([5, 10]),
          "labels": np.array([0, 1], np.int32), "sizes": np.array([3, 4]), "places": np.array([1, 0])}  # fmt: skip


def _mindrecord(folder: Path) -> tuple:
    root = folder / "mindrecord"
    root.mkdir(exist_ok=True)
    (root / "images.mindrecord").write_bytes(bytes(100))
    (root / "index.npz").write_bytes(arrays_of(_INDEX))
    files = [{"name": path.name, "size": path.stat().st_size, "sha256": file_digest(path)}
             for path in (root / "images.mindrecord", root / "index.npz")]  # fmt: skip
    good = {"format": "image classification, MindRecord, 1", "class_names": ["cat", "dog"], "records": ["images.mindrecord"],
            "files": files}  # fmt: skip
    (root / "manifest.json").write_text(json.dumps(good))
    return root, good


def folder_caches(folder: Path) -> Reader:
    return _cache(folder, lambda root: index_folder(root, folder / "cache"))


def scan_caches(folder: Path) -> Reader:
    return _cache(folder, lambda root: find_problems(index_folder(root), "full", folder / "cache", 1))


def _cache(folder: Path, use: Callable[[Path], object]) -> Reader:
    """Whatever the cache holds, what comes out is what is there."""
    root = folder / "data"
    for number, name in enumerate(("cat", "dog", "cat/deeper")):
        write_image(root / name / f"{number}.png", number, number)
    (root / "dog/broken.jpg").write_bytes(b"no image")
    expected = _found(use(root))
    (target,) = (folder / "cache").iterdir()
    seeds = [target.read_bytes()]

    def read() -> None:
        assert _found(use(root)) == expected

    return Reader(target, as_bytes(seeds), read)


def embeddings(folder: Path) -> Reader:
    path = folder / "embeddings.npz"
    good = {
        "features": np.arange(12, dtype=np.float32).reshape(6, 2) % 5, "labels": np.array([0, 0, 0, 1, 1, 1], np.int32),
        "names": np.array(list("abcdef")), "class_names": np.array(["x", "y"]),
        "thumbnails": np.arange(6 * 256, dtype=np.uint8).reshape(6, 16, 16),
    }  # fmt: skip
    odd = st.sampled_from([
        {"labels": np.full(6, 2**31 - 1, np.int32)}, {"labels": np.full(6, -2, np.int32)}, {"names": np.zeros(6, "<U0")},
        {"features": np.full((6, 2), 3e38, np.float32)}, {"features": np.zeros((0, 2), np.float32)},
        {"names": np.full(6, 0x7FFFFFFF, np.uint32).view("<U1")}, {"class_names": np.array([["x"]])},
        {"features": np.full((6, 2), np.nan, np.float32)}, {"thumbnails": np.zeros((6, 16, 16), np.float32)},
    ])  # fmt: skip
    changed = st.one_of(as_bytes([arrays_of(good)]), odd.map(lambda change: arrays_of({**good, **change})))
    return Reader(path, changed, lambda: find_suspects(read_embeddings(path)))


def _found(result) -> object:
    return result if isinstance(result, dict) else (result.files, result.labels.tolist(), result.class_names)


def images(folder: Path) -> Reader:
    path = folder / "a.jpg"
    pixels = Image.open(write_image(folder / "seed.png", 1, 3)).convert("RGB")
    seeds = []
    for kind, options in [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("BMP", {}), ("TIFF", {}),
                          ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "tiff_deflate"}), ("WEBP", {}),
                          ("WEBP", {"lossless": True}), ("GIF", {})]:  # fmt: skip
        content = io.BytesIO()
        pixels.save(content, kind, **options)
        seeds.append(content.getvalue())
    for mode in ("L", "CMYK"):
        content = io.BytesIO()
        pixels.convert(mode).save(content, "JPEG")
        seeds.append(content.getvalue())
    for mode in ("P", "1", "LA", "RGBA", "I;16"):
        content = io.BytesIO()
        (Image.fromarray(np.zeros((9, 9), np.uint16)) if mode == "I;16" else pixels.convert(mode)).save(content, "PNG")
        seeds.append(content.getvalue())

    def read() -> None:
        """What the whole check accepts, both decoders read, and to the same size."""
        problem = [find_problem(str(path), whole) for whole in (False, True)][1]
        if problem:
            raise UserError(problem)
        content = path.read_bytes()
        theirs = vision.Decode()(np.frombuffer(for_mindspore(content), np.uint8))
        assert theirs.shape[1::-1] == decode(content).size

    return Reader(path, as_bytes(seeds), read)
