import os
import shutil

import numpy as np
import pytest

from conftest import CLASSES, write_image
from src.data.sources import folder
from src.data.sources.folder import index_folder
from src.data.sources.images import Names
from src.data.sources.lists import index_flat, index_unlabeled
from src.errors import UserError


def test_a_folder_of_class_folders(data_set):
    index = index_folder(data_set / "train")
    assert index.class_names == CLASSES
    assert len(index) == 18 and list(np.bincount(index.labels)) == [6, 6, 6]
    assert index.files[:2] == [os.path.join("blue", "blue0.PNG"), os.path.join("blue", "blue1.jpg")]


def test_hidden_and_empty_folders_are_no_classes_and_other_files_no_images(data_set, caplog):
    root = data_set / "train"
    write_image(root / ".hidden" / "a.png", 0, 0)
    write_image(root / "red" / ".thumbnail.png", 0, 0)
    (root / "empty").mkdir()
    (root / "blue" / "notes.txt").write_text("x")
    write_image(root / "green" / "more" / "deep.JpEg", 1, 0)
    index = index_folder(root)
    assert index.class_names == CLASSES
    assert list(np.bincount(index.labels)) == [6, 7, 6]
    assert os.path.join("green", "more", "deep.JpEg") in index.files


def test_other_files_are_counted_by_their_endings(data_set, tmp_path, caplog):
    root = data_set / "train"
    for name in ("a.gif", "b.GIF", "c.heic", "no_ending", ".hidden.gif"):
        (root / "red" / name).write_bytes(b"x")
    (root / "blue" / "more").mkdir()
    (root / "blue" / "more" / "d.gif").write_bytes(b"x")
    said = "5 files passed over: 3 .gif, 1 .heic, 1 without an ending"
    settled(root)
    for _ in range(2):  # found, and from the cache
        caplog.clear()
        index_folder(root, tmp_path / "cache")
        assert said in caplog.text
    caplog.clear()
    assert len(index_unlabeled(root)) == 18 and said in caplog.text
    images, labels = flat_folder(tmp_path, [f"ILSVRC2012_val_{i:08}.JPEG {i}" for i in range(3)])
    (images / "d.avif").write_bytes(b"x")
    caplog.clear()
    assert len(index_flat(images, labels)) == 3 and "1 file passed over: 1 .avif" in caplog.text


def test_names_that_are_no_text(data_set, tmp_path, command):
    import train
    from conftest import TINY

    name = os.fsencode(data_set / "train" / "red") + b"/caf\xe9.jpg"
    with open(name, "wb") as file:
        file.write(b"broken")
    code, _, err = command(
        train.main, *TINY, "--data_dir", data_set, "--ckpt_path", tmp_path / "run", "--cache_dir", tmp_path / "cache"
    )
    assert code == 2 and "1 of 19 images" in err


def test_a_link_back_to_a_folder_above_does_not_loop(data_set):
    os.symlink(data_set / "train" / "red", data_set / "train" / "red" / "loop")
    assert len(index_folder(data_set / "train")) == 18


@pytest.mark.parametrize(("name", "part"), [("nowhere", "no such folder"), ("file", "is a file"), ("empty", "no images")])
def test_unusable_folders(tmp_path, name, part):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(UserError, match=f"data_dir: .*{part}|data_dir: {part}"):
        index_folder(tmp_path / name)


def test_labels_follow_the_networks_order_of_classes(data_set):
    index = index_folder(data_set / "val").with_classes(("red", "green", "blue"))
    assert [index.labels[i] for i, name in enumerate(index.files) if name.startswith("blue")] == [2] * 5


def test_classes_that_differ_are_named(data_set, caplog):
    index = index_folder(data_set / "val")
    assert index.with_classes((*CLASSES, "yellow")).class_names[-1] == "yellow"
    assert "1 of the network's 4 classes have no images here: yellow" in caplog.text
    with pytest.raises(UserError, match="not in the training classes: blue; missing here: white"):
        index.with_classes(("green", "red", "white"))


def flat_folder(tmp_path, lines):
    for i in range(3):
        write_image(tmp_path / "flat" / f"ILSVRC2012_val_{i:08}.JPEG", i, i)
    labels = tmp_path / "val_label.txt"
    labels.write_text("\n".join(lines) + "\n")
    return tmp_path / "flat", labels


def test_a_flat_folder_with_numbers_and_with_names(tmp_path):
    names = [f"ILSVRC2012_val_{i:08}.JPEG" for i in range(3)]
    index = index_flat(*flat_folder(tmp_path, [f"{names[2]} 0", f"{names[0]} 65", f"{names[1]} 7"]))
    assert index.files == names and list(index.labels) == [65, 7, 0] and index.class_names == ()
    index = index_flat(*flat_folder(tmp_path, [f"{names[0]} n02", f"{names[1]} n01", f"{names[2]} n02"]))
    assert index.class_names == ("n01", "n02") and list(index.labels) == [1, 0, 1]


@pytest.mark.parametrize(
    ("lines", "part"),
    [
        (["ILSVRC2012_val_00000000.JPEG 1"], "no label for 2 images: ILSVRC2012_val_00000001.JPEG"),
        (["a.JPEG 1"], "are not in .*a.JPEG"),
        (["alone"], "line 1: expected 'image-name label', got 'alone'"),
        (["a.JPEG -1"], "line 1"),
        (["a.JPEG 1", "a.JPEG 2"], "line 2: 'a.JPEG' has a label already"),
        ([""], "holds no labels"),
    ],
)
def test_wrong_label_files(tmp_path, lines, part):
    with pytest.raises(UserError, match=part):
        index_flat(*flat_folder(tmp_path, lines))


@pytest.fixture
def listings(monkeypatch):
    """Counts how often folders are walked."""
    count = []
    real = folder._walk
    monkeypatch.setattr(folder, "_walk", lambda root: count.append(root) or real(root))
    return count


def settled(root, seconds=10):
    """Makes all folders look as if they had last been changed some seconds ago."""
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - seconds * 10**9))


def test_unchanged_folders_are_not_listed_again(data_set, tmp_path, listings, caplog):
    root = data_set / "train"
    (root / "empty").mkdir()
    settled(root)
    first, again = index_folder(root, tmp_path / "cache"), index_folder(root, tmp_path / "cache")
    assert len(listings) == 1
    assert again.files == first.files and (again.labels == first.labels).all() and again.class_names == CLASSES
    assert again.fingerprint == first.fingerprint and (again.images.stamps == first.images.stamps).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write_image(root / "red" / "added.png", 0, 0),
        lambda root: (root / "red" / "red0.PNG").unlink(),
        lambda root: (root / "red" / "red0.PNG").rename(root / "red" / "renamed.png"),
        lambda root: (root / "red" / "red0.PNG").rename(root / "blue" / "moved.png"),
        lambda root: write_image(root / "yellow" / "a.png", 0, 0),
        lambda root: (root / "red").rename(root / "crimson"),
        lambda root: shutil.rmtree(root / "blue"),
    ],
)
def test_a_changed_folder_is_listed_again(data_set, tmp_path, listings, change):
    root = data_set / "train"
    settled(root)
    before = index_folder(root, tmp_path / "cache")
    change(root)
    after = index_folder(root, tmp_path / "cache", check_files=False)
    assert len(listings) == 2 and after.fingerprint != before.fingerprint
    assert after.files == index_folder(root).files


def test_a_folder_changed_a_moment_ago_is_not_trusted(data_set, tmp_path, listings):
    index_folder(data_set / "train", tmp_path / "cache")
    index_folder(data_set / "train", tmp_path / "cache")
    assert len(listings) == 2


def test_a_rewritten_file_is_noticed_where_files_are_looked_at(data_set, tmp_path, listings):
    root = data_set / "train"
    settled(root)
    before = index_folder(root, tmp_path / "cache")
    before.path(3).write_bytes(b"something else")
    assert index_folder(root, tmp_path / "cache", check_files=False).fingerprint == before.fingerprint
    after = index_folder(root, tmp_path / "cache")
    assert len(listings) == 1 and after.images.stamps[3, 0] == 14 and after.fingerprint != before.fingerprint
    assert index_folder(root, tmp_path / "cache", check_files=False).fingerprint == after.fingerprint


def test_a_damaged_cache_is_made_anew(data_set, tmp_path, listings):
    settled(data_set / "train")
    index_folder(data_set / "train", tmp_path / "cache")
    (cache,) = (tmp_path / "cache").glob("index-*.npz")
    for content in (b"", b"damaged", cache.read_bytes()[:-100]):
        cache.write_bytes(content)
        assert len(index_folder(data_set / "train", tmp_path / "cache")) == 18
    assert len(listings) == 4


def test_the_fingerprint_follows_the_data_and_not_its_place(data_set, tmp_path):
    index = index_folder(data_set / "train")
    shutil.copytree(data_set / "train", tmp_path / "copy")
    assert index_folder(tmp_path / "copy").fingerprint == index.fingerprint
    prints = {index.fingerprint, index.without({3}).fingerprint, index.select(np.arange(18)[::-1]).fingerprint}
    prints |= {index.with_classes(("red", "green", "blue")).fingerprint}
    assert len(prints) == 4


def test_names_of_all_kinds_are_kept():
    names = ["a.png", "", "caf\u00e9/b.png", os.fsdecode(b"caf\xe9.jpg"), "z" * 1000]
    packed = Names.of(names)
    assert list(packed) == names and len(packed) == 5 and packed[3] == names[3]
    joined = Names.join([packed, Names.of([]), packed])
    assert list(joined) == names * 2 and not joined.equals(packed) and Names.of(names * 2).equals(joined)
    with pytest.raises(IndexError):
        packed[5]
