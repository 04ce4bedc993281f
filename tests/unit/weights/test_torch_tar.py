"""The form of PyTorch before 0.2; that PyTorch still reads what is written here is checked where it is installed."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from cases import STATE, assert_holds, convert, count_refusals, needs_torch, refusal
from torch_writer import mapping, tar_parts, tar_tensor, write_tar

from src.errors import UserError
from src.weights.torch_files import read_torch

BASE = 94_000_000_000_000  # keys were addresses
TENSOR = tar_tensor(BASE)
NUMBERS = np.arange(24, dtype="<f4")
EXPECTED = {
    "whole": NUMBERS.reshape(4, 6),
    "transposed": NUMBERS.reshape(4, 6).T,
    "part": NUMBERS[5:11:2],
    "view": NUMBERS[3:9].reshape(2, 3),
    "double": np.array([1 / 3]),
    "count": np.array([7, 2**40]),
    "bytes": np.array([[1], [255]], np.uint8),
    "empty": np.zeros(0, np.float32),
}


def write_example(path: Path) -> Path:
    arrays = {
        "whole": (NUMBERS, 0, (4, 6), (6, 1)),
        "transposed": (NUMBERS, 0, (6, 4), (1, 6)),
        "part": (NUMBERS, 5, (3,), (2,)),
        "view": (NUMBERS, 1, (2, 3), (3, 1)),  # in the storage below, which starts at number 2
        "double": (EXPECTED["double"], 0, (1,), (1,)),
        "count": (EXPECTED["count"].astype("<i8"), 0, (2,), (1,)),
        "bytes": (EXPECTED["bytes"], 0, (2, 1), (1, 1)),
        "empty": (np.zeros(1, "<f4"), 0, (0,), (1,)),
    }
    keys = {name: BASE + 16 * i for i, name in enumerate(arrays)}
    views = ((BASE + 1000, keys["view"] + 1, 2, 10),)
    content = mapping({"state_dict": mapping({name: tar_tensor(key) for name, key in keys.items()})})
    return write_tar(path, content, tar_parts({keys[name]: value for name, value in arrays.items()}, views))


def test_every_kind_of_tensor(tmp_path):
    file_format, content = read_torch(write_example(tmp_path / "a.pth"))
    assert file_format == "PyTorch tar" and list(content["state_dict"]) == list(EXPECTED)
    for name, values in EXPECTED.items():
        read = content["state_dict"][name].read()
        assert read.dtype == values.dtype and read.shape == values.shape and np.array_equal(read, values), name


@needs_torch
def test_pytorch_reads_the_same(tmp_path):
    import torch

    loaded = torch.load(write_example(tmp_path / "a.pth"), weights_only=False)["state_dict"]
    for name, values in EXPECTED.items():
        assert np.array_equal(loaded[name].numpy(), values) and loaded[name].numpy().dtype == values.dtype, name


@pytest.mark.parametrize("ending", ["pth", "pth.tar"])
def test_weights_come_in(ending, tmp_path, command):
    keys = {name: BASE + 16 * i for i, name in enumerate(STATE)}
    strides = {name: tuple(stride // 4 for stride in values.strides) for name, values in STATE.items()}
    parts = tar_parts({keys[name]: (values, 0, values.shape, strides[name]) for name, values in STATE.items()})
    content = mapping({f"module.{name}": tar_tensor(key) for name, key in keys.items()})
    convert(command, write_tar(tmp_path / f"a.{ending}", content, parts), tmp_path / "a.ckpt")
    assert assert_holds(tmp_path / "a.ckpt", STATE).source.format == "PyTorch tar"


def test_storages_and_tensors_must_agree(tmp_path):
    def read(offset, shape, strides, content=TENSOR, views=()):
        parts = tar_parts({BASE: (NUMBERS[:6], offset, shape, strides)}, views)
        return read_torch(write_tar(tmp_path / "a.pth", mapping({"a": content}), parts))[1]["a"].read()

    assert read(1, (2, 2), (3, 1)).tolist() == [[1, 2], [4, 5]]
    for arguments, reason in [
        ((2, (2, 2), (3, 1)), "beyond its storage"),
        ((0, (10**5, 10**4), (0, 0)), "beyond its storage"),
        ((-1, (2,), (1,)), "no counts"),
        ((0, (2,), (-1,)), "no counts"),
        ((0, (1,) * 40, (1,) * 40), "makes no sense"),
        ((0, (2,), (1,), tar_tensor(BASE + 2)), "no tensor"),
        ((0, (2,), (1,), b")Q"), "no tensor"),
        ((0, (2,), (1,), TENSOR, ((7, BASE + 1, 5, 2),)), "beyond storage"),
        ((0, (2,), (1,), TENSOR, ((7, BASE + 9, 0, 2),)), "makes no sense"),
    ]:
        with pytest.raises(UserError, match=reason):
            read(*arguments)
    path = tmp_path / "b.pth"
    with tarfile.open(path, "w:") as archive:
        for name in ("storages", "tensors", "pickle"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    with pytest.raises(UserError, match="no plain file"):
        read_torch(path)


def test_a_changed_or_shortened_file_is_read_or_refused_in_one_line(tmp_path):
    content = write_example(tmp_path / "a.pth").read_bytes()
    assert count_refusals(content, tmp_path / "changed.pth", 300) > 80


def test_another_tar_archive_is_no_file_of_weights(tmp_path, refused):
    with tarfile.open(tmp_path / "a.tar", "w:") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    assert "neither a PyTorch" in refusal(refused, tmp_path / "a.tar")
