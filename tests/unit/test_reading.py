"""Reading ahead: the same batches whatever the number of readers, several files at once, and what hangs is named."""

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from conftest import ROOT, write_data_set, write_image
from src.config import build_config
from src.data.datasets import open_training_data
from src.data.pipeline import eval_pipeline, read_batches, train_pipeline
from src.data.preprocessing import preprocessing_from
from src.data.read_ahead import Reading, read_ahead
from src.data.scan import naming_bad_images
from src.data.sources.folder import FolderImages, index_folder
from src.data.sources.mindrecord import index_mindrecord, write_mindrecord
from src.data.sources.records import Records
from src.errors import UserError

READERS = (1, 4, 32)


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    """Format -> index of some images. Not to be changed."""
    root = tmp_path_factory.mktemp("reading")
    folder = index_folder(write_data_set(root / "data", per_class=14) / "train")
    write_mindrecord(folder, root / "records", shards=12)  # more than ten: names sort otherwise than numbers
    records = np.random.default_rng(0).integers(0, 256, (40, 1 + 3072), np.uint8)
    records[:, 0] %= 10
    (root / "cifar").mkdir()
    for number in range(1, 6):
        (root / "cifar" / f"data_batch_{number}.bin").write_bytes(records[8 * number - 8 : 8 * number].tobytes())
    cifar = open_training_data(build_config({"data_dir": str(root / "cifar"), "num_classes": 10, "eval_interval": 0}), 1)[0]
    return {"folder": folder, "mindrecord": index_mindrecord(root / "records"), "cifar10": cifar}


def test_the_order_is_kept_and_no_more_is_read_than_asked_for():
    state = {"running": 0, "most": 0, "started": 0}
    lock = threading.Lock()

    def read(number):
        with lock:
            state["running"] += 1
            state["started"] += 1
            state["most"] = max(state["most"], state["running"])
        time.sleep(0.001 * (number % 3))
        with lock:
            state["running"] -= 1
        return number

    numbers = read_ahead(read, 50, Reading(4), str)
    assert [next(numbers) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.1)
    assert state["started"] <= 3 + 2 * 4
    assert list(numbers) == list(range(3, 50)) and state["started"] == 50 and state["most"] == 4
    assert list(read_ahead(read, 0, Reading(4), str)) == [] and list(read_ahead(read, 2, Reading(4), str)) == [0, 1]


def test_readers_end_with_the_reading(formats):
    before = set(threading.enumerate())
    assert len(list(read_ahead(str, 100, Reading(8), str))) == 100
    half = read_ahead(str, 100, Reading(8), str)
    next(half)
    half.close()
    batches = read_batches(
        train_pipeline(formats["folder"], build_config({"image_size": "16,16", "per_batch_size": 4}), 0, 2)
    )
    next(batches)
    assert {thread.name for thread in set(threading.enumerate()) - before} >= {"reader"}
    del batches
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(t.name == "reader" for t in set(threading.enumerate()) - before):
        time.sleep(0.01)
    assert not [t for t in set(threading.enumerate()) - before if t.name == "reader"]


@pytest.mark.parametrize("error", [UserError("a.jpg: damaged"), TimeoutError(110, "Connection timed out")])
def test_an_error_comes_in_its_turn(error):
    def read(number):
        if number == 3:
            raise error
        return number

    numbers = read_ahead(read, 9, Reading(4), str)
    assert [next(numbers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(type(error)) as raised:
        next(numbers)
    assert raised.value is error


@pytest.mark.parametrize("kind", ["folder", "mindrecord", "cifar10"])
def test_batches_do_not_depend_on_the_number_of_readers(formats, kind):
    index = formats[kind]
    values = {"image_size": "16,16", "per_batch_size": 4, "num_classes": 10, "random_erase_prob": 0.5, "mixup_alpha": 0.2}
    config = build_config(values)

    def batches(readers):
        some = replace(index, reading=Reading(readers))
        whole = list(read_batches(train_pipeline(some, config, 1, 2)))
        resumed = list(read_batches(train_pipeline(some, config, 1, 2, first_step=4)))
        assert len(resumed) == len(whole) - 4 > 0
        evaluated = list(read_batches(eval_pipeline(some, preprocessing_from(config), 5, 2)))
        return [*whole, *resumed, *evaluated], whole[4:], resumed

    index.images.in_memory = True  # read by nobody but the pipeline itself
    expected, _, _ = batches(1)
    del index.images.in_memory
    for readers in READERS:
        found, tail, resumed = batches(readers)
        for ours, theirs in ((found, expected), (resumed, tail)):
            assert len(ours) == len(theirs)
            assert all(np.array_equal(a, b) for pair in zip(ours, theirs) for a, b in zip(*pair))


def test_all_formats_hold_what_was_written(formats):
    folder, records = formats["folder"], formats["mindrecord"]
    assert all(np.array_equal(folder.read(i), records.read(i)) for i in range(len(folder)))
    assert len({records.images._records.files[place] for place in records.images.places}) == 12


def test_slow_files_are_read_at_the_same_time(formats, monkeypatch):
    index, read = formats["folder"], FolderImages.read
    monkeypatch.setattr(FolderImages, "read", lambda images, row: time.sleep(0.05) or read(images, row))
    preprocessing = preprocessing_from(build_config({"image_size": "16,16"}))
    seconds = {}
    for readers in (1, 16):
        started = time.perf_counter()
        assert len(list(read_batches(eval_pipeline(replace(index, reading=Reading(readers)), preprocessing, 8, 1)))) == 6
        seconds[readers] = time.perf_counter() - started
    assert seconds[1] > 42 * 0.05 > 2 * seconds[16]


def test_a_file_that_hangs_is_named(tmp_path, monkeypatch):
    for i in range(12):
        write_image(tmp_path / "d" / "c" / f"{i:02}.png", 0, i)
    released, read = threading.Event(), FolderImages.read

    def hanging(images, row):
        if images.name(row).endswith("07.png"):
            released.wait(60)
        return read(images, row)

    monkeypatch.setattr(FolderImages, "read", hanging)
    config = build_config({"image_size": "16,16", "per_batch_size": 2})
    for pipeline in (
        lambda index: train_pipeline(index, config, 0, 2),
        lambda index: eval_pipeline(index, preprocessing_from(config), 2, 2),
    ):
        index = replace(index_folder(tmp_path / "d"), reading=Reading(4, timeout=0.5))
        started = time.monotonic()
        expected = r"/c/07\.png: reading did not end within 0\.5 s \(reading_timeout\)"
        with pytest.raises(UserError, match=expected) as error, naming_bad_images(index):
            list(read_batches(pipeline(index)))
        assert "\n" not in str(error.value) and time.monotonic() - started < 20
    released.set()


def test_a_program_ends_though_a_reader_hangs():
    code = (
        "import sys, time\n"
        "from src.data.read_ahead import Reading, read_ahead\n"
        "from src.errors import run_command\n"
        "read = lambda number: time.sleep(600) if number == 5 else number\n"
        "sys.exit(run_command(lambda _: len(list(read_ahead(read, 9, Reading(2, 0.2), str))), []))\n"
    )
    outcome = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 2
    assert outcome.stderr == (
        "error: 5: reading did not end within 0.2 s (reading_timeout); is its file system still there?\n"
    )


def test_the_keys_reach_the_readers(data_set, tmp_path):
    keys = {"data_dir": str(data_set), "num_classes": 3, "cache_dir": str(tmp_path), "readers": 3, "reading_timeout": 7}
    for index in open_training_data(build_config(keys), 1):
        assert index.reading == Reading(3, 7.0) == index.select(np.arange(2)).reading
    assert Reading.of(build_config()) == Reading()


def header(**changes) -> bytes:
    text = json.dumps({"header_size": 1 << 24, "page_size": 1 << 25, **changes}).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("begin", "statement"),
    [
        (b"", ""),
        (b"\xff" * 8, ""),
        (header(header_size="x"), ""),
        (header(header_size=-5), ""),
        (header(header_size=1 << 50), ""),
        (header(page_size=0), ""),
        (header(page_size=1 << 80), ""),
        (header(), "DROP TABLE INDEXES"),
        (header(), "UPDATE INDEXES SET PAGE_ID_BLOB = 1 << 40"),
        (header(), "UPDATE INDEXES SET PAGE_ID_BLOB = -1"),
        (header(), "UPDATE INDEXES SET PAGE_OFFSET_BLOB = 'a'"),
        (header(), "UPDATE INDEXES SET PAGE_OFFSET_BLOB = NULL"),
        (header(), "UPDATE INDEXES SET PAGE_OFFSET_BLOB = PAGE_OFFSET_BLOB + 1"),
        (header(), "UPDATE INDEXES SET PAGE_OFFSET_BLOB_END = 0"),
        (header(), "DELETE FROM INDEXES WHERE ROW_ID = 1"),
    ],
    ids=range(15),
)
def test_what_record_files_say_is_not_believed(tmp_path, begin, statement):
    path = tmp_path / "a#?.mindrecord"
    with sqlite3.connect(f"{path}.db") as database:
        columns = "ROW_ID, PAGE_ID_BLOB, PAGE_OFFSET_BLOB, PAGE_OFFSET_BLOB_END"
        database.execute(f"CREATE TABLE INDEXES({columns.replace('ROW_ID', 'ROW_ID INT')})")
        database.executemany("INSERT INTO INDEXES VALUES (?, 0, ?, ?)", [(0, 0, 18), (1, 18, 38)])
    database.close()
    path.write_bytes(header().ljust(1 << 24, b" ") + b"l" * 8 + b"0123456789" + b"l" * 8 + b"abcdefghijkl")
    sizes = np.array([10, 12])
    assert [Records([path], sizes).read(number) for number in (0, 1)] == [b"0123456789", b"abcdefghijkl"]
    with pytest.raises(UserError):
        Records([path], np.array([10, 11]))
    with open(path, "r+b") as file:
        file.write(begin or b"\0" * 8)
    database = sqlite3.connect(f"{path}.db")
    with database:
        database.execute(statement or "SELECT 1")
    database.close()
    with pytest.raises(UserError) as error:
        Records([path], sizes)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_a_record_file_cut_since_is_one_line(formats, tmp_path):
    index = formats["mindrecord"]
    copy = index_mindrecord(shutil.copytree(index.root, tmp_path / "copy"))
    assert np.array_equal(copy.read(0), index.read(0))
    for name in copy.images.manifest.records:
        with open(copy.root / name, "r+b") as file:
            file.truncate(1 << 24)
    with pytest.raises(UserError, match="ends within record"):
        copy.read(0)


def test_a_cifar_file_cut_since_is_one_line(tmp_path):
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(bytes(20 * 3073))
    config = build_config({"data_dir": str(tmp_path), "num_classes": 10, "eval_interval": 0, "per_batch_size": 10})
    index = open_training_data(config, 1)[0]
    with open(tmp_path / "data_batch_3.bin", "r+b") as file:
        file.truncate(3073)
    with pytest.raises(UserError, match=r"data_batch_3\.bin: ends within record \d+"), naming_bad_images(index):
        list(read_batches(train_pipeline(index, config, 0, 1)))
