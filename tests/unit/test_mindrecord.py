"""MindRecord files: the same images as in the folder they came from, and what is wrong with them in one line."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT
from src.config import build_config
from src.data.datasets import open_evaluation_data, open_training_data
from src.data.pipeline import eval_pipeline, read_batches, train_pipeline
from src.data.preprocessing import preprocessing_from
from src.data.scan import naming_bad_images, usable_images
from src.data.sources.folder import index_folder
from src.data.sources.mindrecord import index_mindrecord
from src.data.tools import prepare
from src.distributed.group import Group
from src.errors import UserError

AUGMENTED = {"image_size": "16,16", "per_batch_size": 4, "num_classes": 3, "auto_augment": "randaugment", "mixup_alpha": 0.2}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A folder and the same as MindRecord in three files. Not to be changed."""
    from conftest import write_data_set
    from src.errors import run_command

    root = tmp_path_factory.mktemp("packed")
    write_data_set(root / "data", per_class=6)
    arguments = ["to_mindrecord", "--source", str(root / "data"), "--output", str(root / "mr"), "--shards", "3"]
    assert run_command(prepare.main, arguments) == 0
    assert sorted(path.name for path in root.iterdir()) == ["data", "mr"]
    return root


def test_mindrecord_gives_what_the_folder_gives_bit_for_bit(packed):
    folder, records = index_folder(packed / "data" / "train"), index_mindrecord(packed / "mr" / "train")
    assert len(list((packed / "mr" / "train").glob("images.mindrecord?"))) == 3
    assert records.files == folder.files and (records.labels == folder.labels).all()
    assert records.class_names == folder.class_names
    config = build_config(AUGMENTED)
    for arguments in ({}, {"first_step": 2}, {"group": Group(1, 2), "first_step": 1}):
        epochs = [list(read_batches(train_pipeline(index, config, 3, 2, **arguments))) for index in (folder, records)]
        assert len(epochs[0]) == len(epochs[1]) > 0
        for ours, theirs in zip(*epochs):
            assert all((a == b).all() for a, b in zip(ours, theirs))
    renumbered = [index.with_classes(("red", "green", "blue")).without({2, 5}) for index in (folder, records)]
    batches = [list(read_batches(eval_pipeline(index, preprocessing_from(config), 5, 2))) for index in renumbered]
    assert all((a == b).all() for ours, theirs in zip(*batches) for a, b in zip(ours, theirs))


def test_a_folder_of_mindrecord_files_is_found(packed, tmp_path):
    config = build_config({"data_dir": str(packed / "mr"), "num_classes": 3, "cache_dir": str(tmp_path)})
    train, val = open_training_data(config, 1)
    assert (train.images.kind, len(train), len(val)) == ("mindrecord", 18, 15)
    assert len(open_evaluation_data(config, 1)) == 15


@pytest.fixture
def copied(packed, tmp_path):
    """A copy to damage, of links, because MindRecord files have 50 MB at least: replace files, do not change them."""
    return shutil.copytree(packed / "mr" / "val", tmp_path / "val", copy_function=os.link)


def replace_by(path, content):
    path.unlink()
    path.write_bytes(content)


def change_a_byte(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    replace_by(path, content)


def truncate(path):
    replace_by(path, path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "part"),
    [
        (lambda root: (root / "images.mindrecord1.db").unlink(), "images.mindrecord1.db: missing"),
        (lambda root: (root / "images.mindrecord2").unlink(), "images.mindrecord2: missing"),
        (lambda root: truncate(root / "images.mindrecord0"), "images.mindrecord0: .* truncated"),
        (lambda root: truncate(root / "index.npz"), "index.npz: .* truncated"),
        (lambda root: change_a_byte(root / "index.npz", 200), "index.npz: damaged"),
        (lambda root: (root / "manifest.json").unlink(), "manifest.json: missing"),
        (lambda root: truncate(root / "manifest.json"), "manifest.json: cannot be read"),
        (lambda root: replace_by(root / "manifest.json", b'{"format": "other"}'), "manifest.json: format 'other'"),
    ],
)
def test_incomplete_mindrecord_files_are_one_line(copied, tmp_path, spoil, part):
    spoil(copied)
    config = build_config({"data_dir": str(copied), "cache_dir": str(tmp_path / "cache"), "scan": "off"})
    with pytest.raises(UserError, match=part) as error:
        open_evaluation_data(config, 1)
    assert "to_mindrecord" in str(error.value) and "\n" not in str(error.value)


def rewrite(**changes):
    """Changes what the manifest says."""

    def change(root):
        manifest = json.loads((root / "manifest.json").read_text())
        replace_by(root / "manifest.json", json.dumps({**manifest, **changes}).encode())

    return change


def change_files(**changes):
    """Changes what the manifest says of the first file."""

    def change(root):
        files = json.loads((root / "manifest.json").read_text())["files"]
        rewrite(files=[{**files[0], **changes}, *files[1:]])(root)

    return change


def change_array(key, change, compressed=False):
    """Changes an array of the index, and the size of that in the manifest."""

    def spoil(root):
        with np.load(root / "index.npz") as content:
            arrays = dict(content)
        arrays[key] = change(arrays[key])
        (root / "index.npz").unlink()
        (np.savez_compressed if compressed else np.savez)(root / "index.npz", **arrays)
        files = json.loads((root / "manifest.json").read_text())["files"]
        size = (root / "index.npz").stat().st_size
        rewrite(files=[{**file, "size": size} if file["name"] == "index.npz" else file for file in files])(root)

    return spoil


def put(array, place, value):
    array = array.copy()
    array[place] = value
    return array


HOSTILE = {
    "deep": lambda root: replace_by(root / "manifest.json", b'{"format":' * 100_000),
    "list": lambda root: replace_by(root / "manifest.json", b"[1]"),
    "not UTF-8": lambda root: replace_by(root / "manifest.json", b'{"format": "\xff"}'),
    "huge": lambda root: replace_by(root / "manifest.json", b" " * (65 << 20)),
    "long number": lambda root: replace_by(root / "manifest.json", b'{"format": ' + b"9" * 10_000 + b"}"),
    "format": rewrite(format=3),
    "class names null": rewrite(class_names=None),
    "class names of numbers": rewrite(class_names=[1, 2, 3]),
    "a class twice": rewrite(class_names=["a", "a", "b"]),
    "a class less": rewrite(class_names=["a", "b"]),
    "no records": rewrite(records=[]),
    "a record twice": rewrite(records=["images.mindrecord0"] * 3),
    "a record that is no file": rewrite(records=["images.mindrecord7"]),
    "a record elsewhere": rewrite(records=["../val/images.mindrecord0"]),
    "many records": rewrite(records=[f"r{i}" for i in range(100_000)]),
    "files null": rewrite(files=None),
    "files of texts": rewrite(files=["a"]),
    "many files": rewrite(files=[{"name": f"f{i}", "size": 0, "sha256": "0" * 64} for i in range(100_000)]),
    "a file elsewhere": change_files(name="../../private"),
    "an absolute file": change_files(name="/etc/passwd"),
    "a folder": change_files(name=".."),
    "size as text": change_files(size="3"),
    "negative size": change_files(size=-1),
    "huge size": change_files(size=10**30),
    "checksum": change_files(sha256="x"),
    "no index": rewrite(files=[]),
    "labels of reals": change_array("labels", lambda labels: labels.astype(np.float32)),
    "labels beyond": change_array("labels", lambda labels: put(labels, 0, 3)),
    "negative label": change_array("labels", lambda labels: put(labels, 0, -1)),
    "a label less": change_array("labels", lambda labels: labels[1:]),
    "two dimensions": change_array("labels", lambda labels: labels[None]),
    "no images": change_array("names_ends", lambda ends: ends[:0]),
    "a name that ends before it begins": change_array("names_ends", lambda ends: put(ends, 1, 0)),
    "a name beyond the names": change_array("names_ends", lambda ends: put(ends, -1, 10**15)),
    "negative end": change_array("names_ends", lambda ends: put(ends, 0, -5)),
    "a size beyond the files": change_array("sizes", lambda sizes: put(sizes, 0, 10**12)),
    "sizes that overflow": change_array("sizes", lambda sizes: np.full_like(sizes, 2**62)),
    "negative size of an image": change_array("sizes", lambda sizes: put(sizes, 0, -1)),
    "a place twice": change_array("places", lambda places: put(places, 0, places[1])),
    "a place beyond": change_array("places", lambda places: put(places, 0, 10**9)),
    "objects": change_array("places", lambda places: places.astype(object)),
    "a bomb": change_array("sizes", lambda sizes: np.zeros(50_000_000, np.int64), compressed=True),
}


@pytest.mark.parametrize("spoil", HOSTILE.values(), ids=HOSTILE)
def test_what_manifest_and_index_say_is_not_believed(copied, tmp_path, spoil):
    spoil(copied)
    with pytest.raises(UserError) as error:
        index_mindrecord(copied)
    line = str(error.value)
    assert "to_mindrecord" in line and "\n" not in line and len(line) < 500 and str(copied) in line


def test_altered_mindrecord_files_are_noticed_and_intact_ones_read_once(copied, tmp_path, monkeypatch):
    from src.data.sources import mindrecord

    read = []
    real = mindrecord.file_digest
    monkeypatch.setattr(mindrecord, "file_digest", lambda path: read.append(path.name) or real(path))
    for _ in range(2):
        usable_images(index_mindrecord(copied), "full", "stop", tmp_path / "cache", 1)
    assert len(read) == 7  # three files, three .db, the index
    change_a_byte(copied / "images.mindrecord1", 20_000_000)
    with pytest.raises(UserError, match="images.mindrecord1: damaged or replaced"):
        usable_images(index_mindrecord(copied), "full", "stop", tmp_path / "cache", 1)
    assert read[7:] == ["images.mindrecord1"]
    with pytest.raises(UserError, match="images.mindrecord1: damaged"), naming_bad_images(index_mindrecord(copied)):
        raise RuntimeError("as MindSpore's")


def test_packing_refuses_bad_images_and_existing_folders(packed, data_set, tmp_path, refused):
    (data_set / "val" / "red" / "bad.jpg").write_bytes(b"broken")
    line = refused(prepare.main, "to_mindrecord", "--source", data_set / "val", "--output", tmp_path / "mr")
    assert "1 of 16 images cannot be decoded" in line and not (tmp_path / "mr").exists()
    line = refused(prepare.main, "to_mindrecord", "--source", packed / "data", "--output", packed / "mr")
    assert "exists already" in line


def test_a_record_that_reads_back_differently_is_refused(data_set, tmp_path, refused, monkeypatch):
    from src.data.sources import mindrecord

    real = mindrecord._write_records

    def write_wrong(*arguments):
        digests = real(*arguments)
        return [(b"other", 5), *digests[1:]]

    monkeypatch.setattr(mindrecord, "_write_records", write_wrong)
    line = refused(prepare.main, "to_mindrecord", "--source", data_set / "val", "--output", tmp_path / "out" / "mr")
    assert "record 0" in line and "is not what was written" in line
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("limit", [100, 200_000])
def test_packing_onto_a_full_disk_is_one_line_and_leaves_nothing(data_set, tmp_path, limit):
    code = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    code += "from src.data.tools import prepare; from src.errors import run_command\n"
    code += "sys.exit(run_command(prepare.main, sys.argv[1:]))"
    arguments = ["to_mindrecord", "--source", str(data_set), "--output", str(tmp_path / "out" / "mr")]
    outcome = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("not kept for the next run: ")]
    assert outcome.returncode == 2 and len(lines) == 1 and lines[0].startswith("error: output: MindSpore cannot write")
    assert list((tmp_path / "out").iterdir()) == []
