import pytest

from conftest import CLASSES, write_image
from src.data.sources.folder import index_folder
from src.data.sources.lists import index_flat
from src.data.tools import digits, prepare


def content(root) -> dict:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_to_flat_and_back_gives_the_same_folders(data_set, tmp_path, command):
    flat, again = tmp_path / "flat", tmp_path / "again"
    assert command(prepare.main, "to_flat", "--data_dir", data_set / "val", "--output", flat)[0] == 0
    assert len(index_flat(flat, flat / "val_label.txt")) == 15
    code, out, _ = command(
        prepare.main, "to_folders", "--data_dir", flat, "--label_file", flat / "val_label.txt", "--output", again,
        "--class_names", flat / "class_names.txt",
    )  # fmt: skip
    assert code == 0 and "15 images" in out
    assert content(again) == content(data_set / "val")


def test_numbers_become_folders_that_sort_like_numbers(tmp_path, command):
    for i in range(3):
        write_image(tmp_path / "flat" / f"{i}.JPEG", i, i)
    (tmp_path / "labels.txt").write_text("0.JPEG 2\n1.JPEG 10\n2.JPEG 9\n")
    arguments = ["--data_dir", tmp_path / "flat", "--label_file", tmp_path / "labels.txt", "--output", tmp_path / "out"]
    assert command(prepare.main, "to_folders", *arguments, "--mode", "move")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["02", "09", "10"]
    assert list((tmp_path / "flat").iterdir()) == []


def test_nothing_is_overwritten_and_collisions_are_refused(data_set, tmp_path, refused):
    write_image(data_set / "val" / "red" / "blue0.PNG", 0, 0)
    line = refused(prepare.main, "to_flat", "--data_dir", data_set / "val", "--output", tmp_path / "flat")
    assert "1 image names occur in more than one class, first blue0.PNG" in line
    (data_set / "val" / "red" / "blue0.PNG").unlink()
    write_image(tmp_path / "flat" / "red0.PNG", 0, 0)
    line = refused(prepare.main, "to_flat", "--data_dir", data_set / "val", "--output", tmp_path / "flat")
    assert "1 files exist already" in line and "red0.PNG" in line


def test_too_few_class_names_are_refused(tmp_path, refused):
    write_image(tmp_path / "flat" / "a.png", 0, 0)
    (tmp_path / "labels.txt").write_text("a.png 3\n")
    (tmp_path / "names.txt").write_text("\n".join(CLASSES))
    line = refused(
        prepare.main, "to_folders", "--data_dir", tmp_path / "flat", "--label_file", tmp_path / "labels.txt", "--output",
        tmp_path / "out", "--class_names", tmp_path / "names.txt",
    )  # fmt: skip
    assert "3 names, but" in line and "goes up to label 3" in line


@pytest.mark.slow
def test_the_embedded_digits(tmp_path, command):
    assert command(digits.main, "--output", tmp_path)[0] == 0
    train, val = index_folder(tmp_path / "train"), index_folder(tmp_path / "val")
    assert (len(train), len(val)) == (1437, 360)
    assert train.class_names == val.class_names == tuple("0123456789")
    assert abs(len([label for label in val.labels if label == 3]) - 360 * 183 / 1797) < 1  # stratified
    assert "CC BY 4.0" in (tmp_path / "LICENCE.txt").read_text()
