"""Files of weights made to read beyond them, to fill the memory or to end the process."""

import json
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from cases import STATE, convert, write_safetensors
from torch_writer import (
    call,
    mapping,
    named,
    number,
    sequence,
    tar_parts,
    tar_tensor,
    tensor,
    write_legacy,
    write_tar,
    write_zip,
)

from conftest import ROOT
from src.errors import UserError
from src.weights.reading import read_weight_file
from src.weights.torch_files import read_torch

STORAGES = {"0": np.arange(6, dtype="<f4").tobytes()}


def refusal(path) -> str:
    with pytest.raises(UserError) as error:
        for value in read_weight_file(path).content.values():
            value.read()
    line = str(error.value)
    assert line.isprintable() and str(path) in line and len(line) < 600
    return line


def in_a_process(path) -> None:
    """Reads a file, or refuses it in one line, in a process with 1 GB that a crash would end."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from pathlib import Path; from src.errors import UserError; from src.weights.torch_files import read_torch\n"
        "try:\n    print(type(read_torch(Path(sys.argv[1]))[1]))\nexcept UserError as error:\n    print('UserError', error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and not done.stderr, (done.returncode, done.stderr[-500:])
    assert done.stdout.startswith(("UserError", "<class 'tuple'>"))


def with_directory(path, change) -> None:
    """Changes entries of a zip archive's directory: `change` gets a directory entry as bytearray and its name."""
    raw = bytearray(path.read_bytes())
    at = raw.find(b"PK\x01\x02")
    while at >= 0:
        sizes = struct.unpack_from("<HHH", raw, at + 28)
        name = bytes(raw[at + 46 : at + 46 + sizes[0]]).decode()
        entry = raw[at : at + 46]
        change(entry, name)
        raw[at : at + 46] = entry
        at = raw.find(b"PK\x01\x02", at + 46 + sum(sizes))
    path.write_bytes(raw + bytes(10_000))


def test_a_stored_entry_shorter_than_it_says(tmp_path):
    storages = {"0": bytes(4096), "1": bytes(100_000)}  # the second is more than what the first lacks
    path = write_zip(tmp_path / "a.pth", mapping({"a": tensor("0", 2048, shape=(2048,))}), storages)

    def lie(entry: bytearray, name: str) -> None:
        if name.endswith("data/0"):
            struct.pack_into("<I", entry, 24, 8192)  # of the content; 4096 are there

    with_directory(path, lie)
    raw = path.read_bytes()[:-10_000]
    path.write_bytes(raw)
    assert zipfile.is_zipfile(path)
    assert "another size than its content" in refusal(path)


def long_names(depth: int) -> bytes:
    """A tar archive in which every header says that the next one's name is longer."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1
    block = header.tobuf(tarfile.GNU_FORMAT) + bytes(512)
    return block * depth


def test_tar_headers_without_an_end(tmp_path, refused):
    path = tmp_path / "a.pth"
    path.write_bytes(long_names(100_000))
    assert "neither a PyTorch" in refusal(path)
    negative = bytearray(tarfile.TarInfo("storages").tobuf(tarfile.GNU_FORMAT))
    negative[124:136] = b"\xff" * 12  # -1
    negative[148:156] = b"        "
    negative[148:156] = b"%06o\0 " % sum(negative)
    path.write_bytes(bytes(negative) * 3)
    assert "neither a PyTorch" in refusal(path)


def deep(depth: int) -> bytes:
    """A tuple in a tuple in a tuple ... as a pickle's instructions."""
    return b")" + b"\x85" * depth


DEEP = 200_000


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_zip(path, deep(DEEP), {}),
        lambda path: write_zip(path, b"}" + deep(DEEP) + b"K\x01s", {}),  # as a key
        lambda path: write_zip(path, deep(DEEP) + deep(DEEP) + b"\x93", {}),  # as the name of a class
        lambda path: write_zip(path, deep(DEEP) + b"Q", {}),  # as a reference
        lambda path: write_zip(path, call("collections", "OrderedDict", b"](" + sequence(deep(DEEP), b"N") + b"e"), {}),
        lambda path: write_legacy_keys(path, deep(DEEP)),
        lambda path: write_tar(path, mapping({}), hostile_tensor(deep(DEEP))),
    ],
    ids=["content", "key", "class", "reference", "pairs", "keys", "tar"],
)
def test_values_within_values_do_not_exhaust_the_stack(tmp_path, write):
    path = tmp_path / "a.pth"
    write(path)
    in_a_process(path)


def write_legacy_keys(path, key: bytes):
    """The list of storages at the end of the older form holds something else."""
    raw = write_older(path).read_bytes()
    keys = raw.rindex(b"\x80\x02]")
    path.write_bytes(raw[:keys] + b"\x80\x02](" + key + b"e." + raw[keys:])
    return path


def hostile_tensor(storage: bytes) -> dict:
    parts = tar_parts({100: (np.arange(6, dtype="<f4"), 0, (2,), (1,))})
    start = b"\x80\x02" + sequence(number(100), storage, named("torch", "FloatTensor")) + b"."
    parts["tensors"] = b"\x80\x02K\x01." + start + bytes(100)
    return parts


COPIES = b"](" + b"K\x01" * 100_000 + b"eq\x00"  # a list of 100,000 items, remembered
BOMBS = {
    "copies": COPIES + b"0](" + (named("torch", "Size") + b"h\x00\x85R") * 20_000 + b"e",
    "dictionaries": b"](" + b"K\x01K\x02\x86" * 50_000 + b"eq\x000]("
    + (named("collections", "OrderedDict") + b"h\x00\x85R") * 20_000 + b"e",
    "instructions": b"N0" * 3_000_000 + b"N",
    "a length of 2^62": b"\x8e" + struct.pack("<Q", 2**62),
    "a number of 2^31 bytes": b"\x8b" + struct.pack("<i", 2**31 - 1),
    "places of 2^31": b"Nr" + struct.pack("<I", 2**31 - 1) + b"r" + struct.pack("<I", 2**32 - 1) + b"h\x00",
    "marks": b"(" * 1_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_small_pickles_do_not_fill_the_memory(tmp_path, name):
    in_a_process(write_zip(tmp_path / "a.pth", BOMBS[name], {}))


def write_oldest(path):
    parts = tar_parts({100: (np.arange(6, dtype="<f4"), 0, (2,), (1,))})
    return write_tar(path, mapping({"a": tar_tensor(100)}), parts)


def write_older(path):
    return write_legacy(path, mapping({"a": tensor("0", 6, 1, legacy=True)}), STORAGES)


@pytest.mark.parametrize("write", [write_older, write_oldest])
def test_what_is_gone_while_it_is_read_is_one_line(tmp_path, write):
    path = write(tmp_path / "a.pth")
    _, content = read_torch(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="truncated while it was read"):
        content["a"].read()


# safetensors: the library checks sizes and places


def safetensors_of(header, data: bytes = bytes(8), length=None) -> bytes:
    encoded = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(encoded) if length is None else length) + encoded + data


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BAD_SAFETENSORS = {
    "header of 2^60 bytes": safetensors_of({"a": ONE}, length=2**60),
    "header of 2^63 bytes": safetensors_of({"a": ONE}, length=2**63 + 1),
    "header cut": safetensors_of({"a": ONE}, b"")[:-3],
    "overlap": safetensors_of({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, bytes(12)),
    "gap": safetensors_of({"a": ONE, "b": {**ONE, "data_offsets": [12, 20]}}, bytes(20)),
    "beyond the end": safetensors_of({"a": {**ONE, "shape": [2000], "data_offsets": [0, 8000]}}),
    "shape too large": safetensors_of({"a": {**ONE, "shape": [2**40, 2**40]}}),
    "shape too small": safetensors_of({"a": {**ONE, "shape": [1]}}),
    "shape below 0": safetensors_of({"a": {**ONE, "shape": [-2]}}),
    "shape a text": safetensors_of({"a": {**ONE, "shape": "2"}}),
    "turned around": safetensors_of({"a": {**ONE, "data_offsets": [8, 0]}}),
    "unknown type": safetensors_of({"a": {**ONE, "dtype": "F7"}}),
    "no object": safetensors_of(b'{"a": 3}'),
    "deep": safetensors_of(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "not UTF-8": safetensors_of(b'{"\xff": 1}'),
    "data behind": safetensors_of({"a": ONE}, bytes(100)),
}


@pytest.mark.parametrize("name", BAD_SAFETENSORS)
def test_bad_safetensors_are_one_line(tmp_path, name):
    path = tmp_path / "a.safetensors"
    path.write_bytes(BAD_SAFETENSORS[name])
    refusal(path)


@pytest.mark.parametrize("value", ["[" * 100_000, '{"num_classes": "7"}', '{"class_names": null, "padding": "same"}', "NaN"])
def test_descriptions_in_safetensors_that_make_no_sense_are_said(tmp_path, command, value):
    tensors = {name: ("F32", values) for name, values in STATE.items()}
    path = write_safetensors(tmp_path / "a.safetensors", tensors, {"format": "pt", "resnet_zoo": value})
    _, err = convert(command, path, tmp_path / "a.ckpt")
    assert "what the file says of itself is not used" in err and err.count("\n") == 1


def test_a_type_without_values_here_keeps_its_name(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors_of({"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}))
    assert read_weight_file(path).content["a"].dtype == "F8_E4M3"
