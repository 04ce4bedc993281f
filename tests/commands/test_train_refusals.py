"""Data, checkpoints and disks that training refuses in one line."""

import os
import shutil
import subprocess
import sys

import pytest

import train
from conftest import ROOT, run_arguments, write_image
from src import checkpoint


def remove_data(data):
    return {"data_dir": data / "nowhere"}


def file_as_data(data):
    return {"data_dir": write_image(data / "a.png", 0, 0)}


def empty_class(data):
    shutil.rmtree(data / "train" / "red")
    (data / "train" / "red").mkdir()
    return {}


def other_classes(data):
    os.rename(data / "val" / "red", data / "val" / "crimson")
    return {}


def truncated(data):
    path = data / "train" / "red" / "red1.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    return {}


def cut_header(data):
    path = data / "val" / "red" / "red1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    return {}


def text_as_jpeg(data):
    (data / "train" / "red" / "text.JPEG").write_text("this is a text")
    return {}


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda data: {"data_dir": ""}, ["data_dir: no value"]),
        (remove_data, ["data_dir: no such folder", "nowhere"]),
        (file_as_data, ["data_dir", "a.png' is a file"]),
        (empty_class, ["num_classes: 3, but", "has 2 class folders", "--num_classes 2"]),
        (other_classes, ["val", "not in the training classes: crimson", "missing here: red"]),
        (truncated, ["1 of 18 images", "red1.jpg", "truncated", "--bad_images skip"]),
        (cut_header, ["1 of 15 images", "red1.jpg"]),
        (text_as_jpeg, ["1 of 19 images", "text.JPEG (is not an image)"]),
        (lambda data: {"scan": "off", **text_as_jpeg(data)}, ["1 of 19 images", "text.JPEG", "--scan full"]),
        (lambda data: {"freeze": "layer4"}, ["freeze: this network has no layer4", "layer3"]),
        (lambda data: {"label_file": "labels.txt"}, ["label_file: cannot read 'labels.txt': No such file"]),
        (lambda data: {"per_batch_size": 64}, ["per_batch_size: 64", "18 training images"]),
        (lambda data: {"num_classes": 4}, ["num_classes: 4", "--num_classes 3"]),
        (lambda data: {"ckpt_path": data / "val" / "red" / "red1.jpg" / "run"}, ["ckpt_path: cannot write", "red1.jpg/run"]),
        (lambda data: {"pretrained": data / "a.ckpt"}, ["a.ckpt: no such checkpoint file"]),
    ],
)
def test_bad_input_is_one_line(data_set, tmp_path, refused, spoil, parts):
    values = spoil(data_set)
    line = refused(train.main, *run_arguments(data_set, tmp_path, **values))
    assert all(part in line for part in parts), line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_one_line(data_set, tmp_path, refused):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "Permission denied" in refused(train.main, *run_arguments(data_set, tmp_path, ckpt_path=tmp_path / "locked"))


def test_a_checkpoint_of_another_network_is_refused(trained, data_set, tmp_path, refused):
    line = refused(train.main, *run_arguments(data_set, tmp_path, pretrained=trained["ckpt"], backbone="resnet20"))
    assert "does not fit the network" in line


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(data_set, tmp_path, refused):
    line = refused(train.main, *run_arguments(data_set, tmp_path, lr=1e30, warmup_epochs=0, max_epoch=20))
    assert "the loss became" in line and "at step" in line and "lower lr" in line
    for path in (tmp_path / "run").glob("*.ckpt"):
        checkpoint.load(path)  # what was written before is usable


@pytest.mark.slow
def test_a_full_disk_while_saving_is_one_line(data_set, tmp_path):
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"  # a checkpoint needs 2 MB
        "import train; from src.errors import run_command; sys.exit(run_command(train.main, sys.argv[1:]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *run_arguments(data_set, tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    (line,) = run.stderr.splitlines()
    assert ".ckpt: cannot be written" in line and "free space" in line
    assert not list((tmp_path / "run").glob("*.ckpt")) and not list((tmp_path / "run").glob(".*"))
