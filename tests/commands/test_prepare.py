import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import CLASSES, ROOT, write_image
from src.data.sources.folder import index_folder
from src.data.sources.lists import index_flat
from src.data.tools import digits, prepare, transfer
from src.errors import UserError


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


def labeled(tmp_path, **labels) -> list:
    """A flat folder with an image for each label; the arguments of to_folders."""
    for name in labels:
        write_image(tmp_path / "flat" / f"{name.replace('__', '/')}.png", 0, len(name))
    lines = "".join(f"{name.replace('__', '/')}.png\t{label}\n" for name, label in labels.items())
    (tmp_path / "labels.txt").write_text(lines)
    files = ["--data_dir", tmp_path / "flat", "--label_file", tmp_path / "labels.txt"]
    return ["to_folders", *files, "--output", tmp_path / "out"]


@pytest.mark.parametrize("mode", ["copy", "link", "move"])
def test_two_images_for_one_place_are_refused_before_anything_moves(tmp_path, refused, mode):
    arguments = labeled(tmp_path, b1__1=0, b2__1=0, b3__1=1)
    before = content(tmp_path)
    line = refused(prepare.main, *arguments, "--mode", mode)
    assert "1 image names occur in more than one folder, first 1.png (b1/1.png, b2/1.png); rename them" in line
    assert content(tmp_path) == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize("label", ["../../home/.ssh", "/etc", "a/b", "..", ".hidden", "x\x1b[31m", "y" * 300])
@pytest.mark.parametrize("as_class_names", [False, True])
def test_labels_stay_inside_the_output(tmp_path, refused, label, as_class_names):
    arguments = labeled(tmp_path, a=0 if as_class_names else label)
    if as_class_names:
        (tmp_path / "names.txt").write_text(f"{label}\n")
        arguments += ["--class_names", tmp_path / "names.txt"]
    before = content(tmp_path)
    assert "cannot be the name of a class folder" in refused(prepare.main, *arguments, "--mode", "move")
    assert content(tmp_path) == before


@pytest.mark.parametrize("mode", ["copy", "link", "move"])
def test_images_are_files_of_the_folder(tmp_path, refused, mode):
    write_image(tmp_path / "home" / "private.png", 0, 0)
    arguments = [*labeled(tmp_path, a=0), "--mode", mode]
    for name in ("../home/private.png", tmp_path / "home" / "private.png"):
        (tmp_path / "labels.txt").write_text(f"a.png 0\n{name} 1\n")
        assert "leads out of the folder of images" in refused(prepare.main, *arguments)
    (tmp_path / "flat" / "deep").symlink_to(tmp_path / "home")
    (tmp_path / "labels.txt").write_text("a.png 0\ndeep/private.png 1\n")
    assert "leads out of" in refused(prepare.main, *arguments)
    (tmp_path / "flat" / "b.png").symlink_to(tmp_path / "home" / "private.png")
    (tmp_path / "labels.txt").write_text("a.png 0\nb.png 1\n")
    assert ("is a link" if mode == "move" else "leads out of") in refused(prepare.main, *arguments)
    assert (tmp_path / "home" / "private.png").exists() and not (tmp_path / "out").exists()


def test_a_class_folder_of_the_output_that_is_a_link_is_not_followed(tmp_path, refused):
    (tmp_path / "home").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0").symlink_to(tmp_path / "home")
    assert "is not a folder of" in refused(prepare.main, *labeled(tmp_path, a=0), "--mode", "move")
    assert (tmp_path / "flat" / "a.png").exists() and list((tmp_path / "home").iterdir()) == []


def flat_arguments(data_set, tmp_path, mode) -> list:
    return ["to_flat", "--data_dir", data_set / "val", "--output", tmp_path / "out", "--mode", mode]


def expected_flat(data_set) -> dict:
    images = {path.name: path.read_bytes() for path in (data_set / "val").rglob("*.*")}
    lines = sorted(f"{name} {CLASSES.index(name.rstrip('0123456789.PNGjpg'))}\n" for name in images)
    return {**images, "val_label.txt": "".join(lines).encode(), "class_names.txt": b"blue\ngreen\nred\n"}


@pytest.mark.parametrize("mode", ["copy", "link", "move"])
@pytest.mark.parametrize("stop_at", [0, 7, 14])
def test_the_same_command_goes_on_after_an_interruption(data_set, tmp_path, command, refused, monkeypatch, mode, stop_at):
    expected, count = expected_flat(data_set), []
    real = transfer._transfer

    def interrupted(*arguments):
        if len(count) == stop_at:
            raise KeyboardInterrupt
        count.append(real(*arguments))

    monkeypatch.setattr(transfer, "_transfer", interrupted)
    arguments = flat_arguments(data_set, tmp_path, mode)
    assert command(prepare.main, *arguments)[0] == 130
    assert (tmp_path / "out" / "val_label.txt").read_bytes() == expected["val_label.txt"]
    left, there = content(data_set / "val"), content(tmp_path / "out")
    assert set(expected) <= {os.path.basename(name) for name in (*left, *there)}
    line = refused(prepare.main, "to_flat", "--data_dir", tmp_path / "out", "--output", tmp_path / "other")
    assert "is filled in part" in line
    line = refused(prepare.main, *arguments, "--mode", "copy" if mode != "copy" else "link")
    assert "unfinished (command to_flat, " in line and f"mode {mode}" in line
    monkeypatch.undo()
    code, out, err = command(prepare.main, *arguments)
    assert code == 0 and f"going on with {15 - stop_at} of 15 images" in out and "15 images" in out.splitlines()[-1], err
    assert content(tmp_path / "out") == expected
    assert len(content(data_set / "val")) == (0 if mode == "move" else 15)


def test_a_move_to_another_disk_that_was_copied_but_not_removed_is_finished(data_set, tmp_path, monkeypatch):
    expected = expected_flat(data_set)

    def rename(source, target):
        if "resnet-zoo" not in str(source):
            raise OSError(18, "Invalid cross-device link")
        os.rename(source, target)

    real = transfer.Path.unlink
    monkeypatch.setattr(transfer.Path, "rename", rename)
    monkeypatch.setattr(transfer.Path, "unlink", lambda s, **k: real(s, **k) if "val" not in s.parts else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare.to_flat(data_set / "val", tmp_path / "out", "move")
    monkeypatch.setattr(transfer.Path, "unlink", real)
    twice = [name for name in content(data_set / "val") if (tmp_path / "out" / os.path.basename(name)).exists()]
    assert len(twice) == 1 and len(content(data_set / "val")) == 15
    image = tmp_path / "out" / os.path.basename(twice[0])
    whole = image.read_bytes()
    image.write_bytes(whole[:-1] + b"x")
    with pytest.raises(UserError, match="is not the image that belongs there"):
        prepare.to_flat(data_set / "val", tmp_path / "out", "move")
    image.write_bytes(whole)
    assert prepare.to_flat(data_set / "val", tmp_path / "out", "move") == 15
    assert content(tmp_path / "out") == expected and not content(data_set / "val")


@pytest.mark.parametrize("command_name", ["to_flat", "to_folders"])
def test_names_that_are_no_text_are_moved_with_their_labels(tmp_path, command, command_name):
    name = os.fsdecode(b"\xb9\xb7.png")
    picture = write_image(tmp_path / "a.png", 0, 0).read_bytes()
    (tmp_path / "data" / "dog").mkdir(parents=True)
    (tmp_path / "data" / "dog" / name).write_bytes(picture)
    flat = ["to_flat", "--data_dir", tmp_path / "data", "--output", tmp_path / "flat", "--mode", "move"]
    assert command(prepare.main, *flat)[0] == 0
    assert (tmp_path / "flat" / "val_label.txt").read_bytes() == b"\xb9\xb7.png 0\n"
    assert len(index_flat(tmp_path / "flat", tmp_path / "flat" / "val_label.txt")) == 1
    folders = ["to_folders", "--data_dir", tmp_path / "flat", "--label_file", tmp_path / "flat" / "val_label.txt"]
    assert command(prepare.main, *folders, "--output", tmp_path / "again", "--mode", "move")[0] == 0
    assert (tmp_path / "again" / "0" / name).read_bytes() == picture


def test_names_that_a_list_cannot_hold_are_refused_before_anything_moves(tmp_path, refused):
    write_image(tmp_path / "data" / "dog" / "a.png", 0, 0).rename(tmp_path / "data" / "dog" / "a\nb.png")
    line = refused(prepare.main, "to_flat", "--data_dir", tmp_path / "data", "--output", tmp_path / "flat", "--mode", "move")
    assert r"the name 'a\nb.png' cannot stand in a list of labels" in line and not (tmp_path / "flat").exists()


@pytest.mark.parametrize(("limit", "reason"), [(200, "File too large"), (1500, "File too large")])
def test_a_file_that_does_not_fit_loses_nothing(data_set, tmp_path, command, limit, reason):
    write_image(data_set / "val" / "blue" / "large.png", 0, 1, size=(60, 60))
    images = content(data_set / "val")
    code = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    code += "from src.data.tools import prepare; from src.errors import run_command\n"
    code += "sys.exit(run_command(prepare.main, sys.argv[1:]))"
    arguments = [str(argument) for argument in flat_arguments(data_set, tmp_path, "copy")]
    result = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1 and reason in result.stderr, result.stderr
    assert content(data_set / "val") == images
    assert command(prepare.main, *arguments)[0] == 0
    assert len(content(tmp_path / "out")) == 18


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plan: [],
        lambda plan: {},
        lambda plan: {**plan, "files": None},
        lambda plan: {**plan, "files": [["a.png"]]},
        lambda plan: {**plan, "files": [[1, 2]]},
        lambda plan: {**plan, "files": [["../home/private.png", "a.png"]]},
        lambda plan: {**plan, "files": [["a.png", "../home/a.png"]]},
        lambda plan: {**plan, "files": [["a.png", "link/deep/a.png"]]},
        lambda plan: {**plan, "texts": {"../x": "y"}},
        lambda plan: {**plan, "texts": 3},
    ],
)
def test_a_plan_that_somebody_else_wrote_is_not_followed(tmp_path, refused, spoil):
    arguments = [*labeled(tmp_path, a=0), "--mode", "move"]
    asked = {"command": "to_folders", "data_dir": os.path.realpath(tmp_path / "flat"), "mode": "move"}
    asked |= {"label_file": os.path.realpath(tmp_path / "labels.txt"), "class_names": []}
    plan = {"asked": asked, "root": asked["data_dir"], "mode": "move", "files": [["a.png", "0/a.png"]], "texts": {}}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".prepare.json").write_text(json.dumps(spoil(plan)))
    before = content(tmp_path)
    assert "is no plan of this command" in refused(prepare.main, *arguments)
    assert content(tmp_path) == before


def test_an_image_that_is_gone_is_named(data_set, tmp_path, command, refused, monkeypatch):
    arguments = flat_arguments(data_set, tmp_path, "move")
    monkeypatch.setattr(transfer, "_transfer", lambda *a: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command(prepare.main, *arguments)
    monkeypatch.undo()
    shutil.move(data_set / "val" / "red" / "red0.PNG", tmp_path / "kept")
    assert "red0.PNG: is gone" in refused(prepare.main, *arguments)
    shutil.move(tmp_path / "kept", data_set / "val" / "red" / "red0.PNG")
    assert command(prepare.main, *arguments)[0] == 0


@pytest.mark.slow
def test_the_embedded_digits(tmp_path, command):
    assert command(digits.main, "--output", tmp_path)[0] == 0
    train, val = index_folder(tmp_path / "train"), index_folder(tmp_path / "val")
    assert (len(train), len(val)) == (1437, 360)
    assert train.class_names == val.class_names == tuple("0123456789")
    assert abs(len([label for label in val.labels if label == 3]) - 360 * 183 / 1797) < 1  # stratified
    assert "CC BY 4.0" in (tmp_path / "LICENSE.txt").read_text()
