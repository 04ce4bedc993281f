import io

import numpy as np
import pytest
from PIL import Image

from conftest import write_image
from src import progress
from src.data import scan
from src.data.sources.folder import index_folder
from src.errors import UserError


def break_files(root) -> dict:
    """Adds files that cannot be decoded; name -> part of what the full scan says of it."""
    photo = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 90, 3), np.uint8)).save(photo, "JPEG")
    content = photo.getvalue()
    picture = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)).save(picture, "PNG")
    pixels = picture.getvalue()  # ends in the checksum of the pixels and a chunk of 12 bytes
    changed = pixels[:-13] + bytes([pixels[-13] ^ 1]) + pixels[-12:]
    broken = {
        "half.jpg": (content[: len(content) // 2], "truncated"),
        "no_end.jpg": (content[:-10], "truncated"),
        "header.jpg": (content[:300], ""),
        "text.JPEG": (b"this is not an image", "is not an image"),
        "empty.png": (b"", "is empty"),
        "checksum.png": (changed, "wrong checksum in its chunk 'IDAT'"),
        "chunks.png": (pixels[:-12] + b"\0\0\0\0\1\2\3\4abcd" + pixels[-12:], "between its chunks"),
    }
    for name, (data, _) in broken.items():
        (root / "red" / name).write_bytes(data)
    Image.new("RGB", (8, 8)).save(root / "red" / "gif.jpg", "GIF")
    (root / "red" / "link.jpg").symlink_to("nowhere.jpg")
    return {**{name: part for name, (_, part) in broken.items()}, "gif.jpg": "GIF", "link.jpg": "No such file"}


def names_of(index, problems) -> dict:
    return {index.files[i].split("/")[1]: problem for i, problem in problems.items()}


def test_a_full_scan_finds_every_file_that_cannot_be_decoded(data_set, tmp_path):
    expected = break_files(data_set / "train")
    index = index_folder(data_set / "train")
    found = names_of(index, scan.find_problems(index, "full", tmp_path, workers=1))
    assert set(found) == set(expected)
    for name, part in expected.items():
        assert part in found[name]


def test_a_headers_scan_finds_those_that_end_the_process(data_set, tmp_path):
    expected = break_files(data_set / "train")
    index = index_folder(data_set / "train")
    found = names_of(index, scan.find_problems(index, "headers", tmp_path, workers=1))
    assert set(found) == set(expected) - {"half.jpg", "no_end.jpg", "checksum.png", "chunks.png"}  # their headers are whole


def test_stop_lists_all_and_skip_leaves_them_out(data_set, tmp_path):
    break_files(data_set / "train")
    index = index_folder(data_set / "train")
    with pytest.raises(UserError, match="9 of 27 images cannot be decoded.*--bad_images skip"):
        scan.usable_images(index, "full", "stop", tmp_path, 1)
    usable = scan.usable_images(index, "full", "skip", tmp_path, 1)
    assert len(usable) == 18 and list(np.bincount(usable.labels)) == [6, 6, 6]
    assert scan.usable_images(index, "off", "stop", tmp_path, 1) is index


def test_only_files_that_changed_are_looked_at_again(data_set, tmp_path, monkeypatch):
    index = index_folder(data_set / "train")
    looked_at = []
    real = scan.find_problem
    monkeypatch.setattr(scan, "find_problem", lambda path, whole: looked_at.append(path) or real(path, whole))
    scan.find_problems(index, "full", tmp_path, 1)
    assert len(looked_at) == 18
    looked_at.clear()
    assert scan.find_problems(index, "full", tmp_path, 1) == {}
    assert looked_at == []
    index.path(4).write_bytes(b"broken now")
    index = index_folder(data_set / "train")
    assert list(scan.find_problems(index, "full", tmp_path, 1)) == [4]
    assert looked_at == [str(index.path(4))]
    looked_at.clear()
    write_image(data_set / "train" / "blue" / "added.png", 2, 0)
    index.path(0).unlink()
    index = index_folder(data_set / "train")
    assert list(scan.find_problems(index, "full", tmp_path, 1)) == [4]
    assert looked_at == [str(data_set / "train" / "blue" / "added.png")]
    one = index.select(np.array([7]))
    one.path(0).write_bytes(b"broken too")
    one = index_folder(data_set / "train").select(np.array([7]))  # what is known of the other files must not be lost
    assert list(scan.find_problems(one, "full", tmp_path, 1)) == [0]
    looked_at.clear()
    assert list(scan.find_problems(index_folder(data_set / "train"), "full", tmp_path, 1)) == [4, 7]
    assert looked_at == []
    cache = next(tmp_path.glob("scan-full-*.npz"))
    content = bytearray(cache.read_bytes())
    for damage in (content[:100], b"{ damaged", content[:200] + b"x" + content[201:]):
        cache.write_bytes(damage)
        looked_at.clear()
        assert list(scan.find_problems(index_folder(data_set / "train"), "full", tmp_path, 1)) == [4, 7]
        assert len(looked_at) == 18


def test_many_files_are_checked_by_several_processes_in_order(tmp_path):
    for i in range(600):
        write_image(tmp_path / "data" / "red" / f"{i:04}.png", 0, i, (4, 4))
    (tmp_path / "data" / "red" / "0300.png").write_bytes(b"broken")
    index = index_folder(tmp_path / "data")
    assert list(scan.find_problems(index, "full", tmp_path, workers=2)) == [300]


def test_decoding_at_an_eighth_finds_what_decoding_whole_finds(tmp_path):
    photo = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)).save(photo, "JPEG", quality=70)
    content = photo.getvalue()
    for cut in range(0, len(content), 97):
        path = tmp_path / "cut.jpg"
        path.write_bytes(content[:cut])
        try:
            Image.open(path).convert("RGB")
            whole_decodes = True
        except Exception:
            whole_decodes = False
        assert (scan.find_problem(str(path), whole=True) is None) == whole_decodes, cut


def test_a_long_scan_shows_signs_of_life(data_set, tmp_path, monkeypatch):
    for i in range(600):
        (data_set / "train/red" / f"more{i}.png").symlink_to("red0.PNG")
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "beats"))
    index = index_folder(data_set / "train", tmp_path / "cache")
    listed = int((tmp_path / "beats").read_text())
    assert scan.usable_images(index, "headers", "stop", tmp_path / "cache", workers=1) is index
    assert int((tmp_path / "beats").read_text()) >= listed + 2
