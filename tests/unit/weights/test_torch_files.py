"""The zip and the legacy form: files written here, and two that PyTorch wrote (tests/data)."""

import zipfile

import numpy as np
import pytest
from cases import STATE, assert_holds, convert, count_refusals
from torch_writer import call, mapping, named, number, sequence, tensor, text, write_legacy, write_zip

from conftest import ROOT
from src.errors import UserError
from src.weights.torch_files import read_torch

DATA = ROOT / "tests" / "data"


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_files_that_pytorch_wrote(name):
    file_format, content = read_torch(DATA / f"{name}.pth")
    assert file_format == f"PyTorch {name}"
    numbers = np.arange(24, dtype=np.float32).reshape(4, 6)
    expected = {
        "a.weight": numbers,
        "b": np.array([1.0, -2.5, 3.00405527047391e38], np.float32),  # bfloat16 has 8 bits of precision
        "transposed": numbers.T,
        "part": numbers[1:3, 1::2],
        "row": numbers[3],
        "half": np.array([[0.5], [65504.0]], np.float16),
        "double": np.array([1 / 3]),
        "channels_last": np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2),
        "bn.num_batches_tracked": np.array(7),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }
    tensors = content["state_dict"]
    assert list(tensors) == list(expected)
    for key, values in expected.items():
        read = tensors[key].read()
        assert read.dtype == values.dtype and read.shape == tensors[key].shape == values.shape, key
        assert np.array_equal(read, values), key
    assert content["epoch"] == 3 and content["history"] == {"loss": [1.0, 0.5]} and content["size"] == (4, 6)
    assert tensors["b"].dtype == "bfloat16" and tensors["half"].dtype == "float16"


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_a_changed_or_shortened_file_is_read_or_refused_in_one_line(name, tmp_path):
    assert count_refusals((DATA / f"{name}.pth").read_bytes(), tmp_path / "changed.pth", 600) > 250


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_storages_and_tensors_must_agree(tmp_path, legacy):
    write = write_legacy if legacy else write_zip
    storage = {"0": np.arange(6, dtype="<f4").tobytes()}

    def read(path_content: bytes, storages: dict = storage):
        return read_torch(write(tmp_path / "a.pth", mapping({"a": path_content}), storages))[1]["a"].read()

    assert read(tensor("0", 6, 1, (2, 2), (3, 1), legacy=legacy)).tolist() == [[1, 2], [4, 5]]
    for arguments, reason in [
        ((6, 2, (2, 2), (3, 1)), "beyond its storage"),
        ((6, 0, (7,), (1,)), "beyond its storage"),
        ((6, 0, (10**5, 10**4), (0, 0)), "beyond its storage"),  # few bytes that would become many
        ((6, -1, (2,), (1,)), "no counts"),
        ((6, 0, (2,), (-1,)), "no counts"),
        ((6, 0, (2, 2), (1,)), "no counts"),
        ((6, 0, (1,) * 40, (1,) * 40), "no counts"),
        ((7, 0, (2,), (1,)), "storage 0 has"),
        ((10**9, 0, (10**9,), (1,)), "storage 0 has"),
    ]:
        with pytest.raises(UserError, match=reason):
            read(tensor("0", *arguments, legacy=legacy))
    with pytest.raises(UserError, match="storage"):
        read(tensor("1", 6, legacy=legacy))


def test_less_usual_tensors(tmp_path):
    numbers = np.arange(6, dtype="<f4")
    reference = (
        sequence(text("storage"), named("torch.storage", "UntypedStorage"), text("0"), text("cpu"), number(24)) + b"Q"
    )
    place = [number(1), sequence(number(2)), sequence(number(2)), b"\x89", b"N"]
    untyped = call("torch._utils", "_rebuild_tensor_v3", reference, *place, named("torch", "float32"))
    plain = tensor("0", 6, 3).partition(b"\n_rebuild_tensor_v2\n")[2][:-1]  # its arguments
    subclass = call("torch._tensor", "_rebuild_from_type_v2", named("torch._utils", "_rebuild_tensor_v2"),
                    named("torch", "Tensor"), plain, b"}")  # fmt: skip
    parameter = call("torch._utils", "_rebuild_parameter", tensor("0", 6, 4), b"\x88", b"N")
    content = mapping({"untyped": untyped, "subclass": subclass, "parameter": parameter})
    _, read = read_torch(write_zip(tmp_path / "a.pth", content, {"0": numbers.tobytes()}))
    assert {name: value.read().tolist() for name, value in read.items()} == {
        "untyped": [1, 3], "subclass": [3, 4], "parameter": [4, 5]
    }  # fmt: skip

    def view(start: int, size: int) -> bytes:  # as PyTorch before 0.4 wrote
        whole = tensor("0", 6, 1, legacy=True)
        return whole.replace(b"Nt", sequence(text("view"), number(start), number(size)) + b"t", 1)

    _, read = read_torch(write_legacy(tmp_path / "b.pth", mapping({"a": view(2, 3)}), {"0": numbers.tobytes()}))
    assert read["a"].read().tolist() == [3, 4]
    for start, size in [(5, 2), (-1, 3), (2, 2)]:
        with pytest.raises(UserError, match="beyond"):
            read_torch(write_legacy(tmp_path / "b.pth", mapping({"a": view(start, size)}), {"0": numbers.tobytes()}))


def test_archives_that_are_none_of_torch_save_are_refused(tmp_path):
    content, storages = mapping({"a": tensor("0", 2)}), {"0": bytes(8)}
    path = tmp_path / "a.pth"
    assert read_torch(write_zip(path, content, storages))[1]["a"].shape == (2,)

    def add(name: str) -> None:
        write_zip(path, content, storages)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"")

    for write, reason in [
        (lambda: write_zip(path, content, storages, byteorder=b"big"), "big-endian"),
        (lambda: write_legacy(path, content, storages, little_endian=False), "big-endian"),
        (lambda: write_zip(path, content, storages, compression=zipfile.ZIP_DEFLATED), "compressed"),
        (lambda: write_zip(path, content, {"0": bytes(12)}), "storage 0 has 12 bytes instead of 2 numbers"),
        (lambda: add("archive/constants.pkl"), "TorchScript"),
        (lambda: add("other/data.pkl"), "not of torch.save"),
    ]:
        write()
        with pytest.raises(UserError, match=reason):
            read_torch(path)
    with pytest.warns(UserWarning, match="Duplicate name"):
        add("archive/data/0")
    with pytest.raises(UserError, match="overlap"):
        read_torch(path)


def test_half_and_bfloat16_of_pytorch(tmp_path, command):
    pickled, storages, expected = {}, {}, {}
    for i, (name, values) in enumerate(STATE.items()):
        half = i % 2
        bits = values.astype("<f2") if half else (values.view("<u4") >> 16).astype("<u2")
        strides = tuple(stride // 2 for stride in bits.strides)
        kind = "HalfStorage" if half else "BFloat16Storage"
        pickled[name] = tensor(str(i), bits.size, shape=bits.shape, strides=strides, storage=kind)
        storages[str(i)] = bits.tobytes()
        expected[name] = bits.astype(np.float32) if half else (bits.astype("<u4") << 16).view("<f4")
    out, _ = convert(command, write_zip(tmp_path / "a.pth", mapping(pickled), storages), tmp_path / "a.ckpt")
    assert "from bfloat16 to float32" in out and "from float16 to float32" in out
    assert_holds(tmp_path / "a.ckpt", expected)
