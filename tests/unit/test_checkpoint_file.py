"""Checkpoints that contradict themselves."""

import mindspore as ms
import numpy as np
import pytest
from checkpoints import add, described, message, write
from refusals import refusal

from src import checkpoint
from src.checkpoint_file import read_file

WEIGHTS = {"conv.weight": np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3), "fc.bias": np.float32([1, 2])}


def test_what_mindspore_writes_is_what_is_read(tmp_path):
    values = {
        **WEIGHTS, "half": np.float16([[1.5]]), "double": np.float64([1 / 3]), "long": np.array([2**40, -1]),
        "int": np.int32([[-7]]), "flag": np.array([True, False]), "one": np.array(3.0, np.float32), "byte": np.uint8([255]),
    }  # fmt: skip
    tensors = [{"name": name, "data": ms.Tensor(array)} for name, array in values.items()]
    tensors.append({"name": "brain", "data": ms.Tensor([1.5, -3.0], ms.bfloat16)})
    for checksum in (False, True):
        path = tmp_path / f"{checksum}.ckpt"
        ms.save_checkpoint(tensors, str(path), append_dict={"said": "a \u9ed1"}, crc_check=checksum)
        read, texts = read_file(path)
        assert texts == {"said": "a \u9ed1"} and list(read) == [*values, "brain"]
        for name, array in values.items():
            assert read[name].values().dtype == array.dtype and np.array_equal(read[name].values(), array), name
            assert read[name].values().shape == array.shape
        assert read["brain"].dtype == "bfloat16" and read["brain"].values().tolist() == [1.5, -3.0]
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(bytes(content))
    assert "checksum does not match" in refusal(read_file, path)


def test_a_large_tensor_comes_in_pieces(tmp_path):
    content = message({"fc.bias": WEIGHTS["fc.bias"]})
    data = WEIGHTS["conv.weight"].tobytes()
    for start in range(0, len(data), 80):
        add(content, "conv.weight", (2, 3, 3, 3), "Float32", data[start : start + 80])
    loaded = checkpoint.load(write(tmp_path / "a.ckpt", content))
    assert np.array_equal(loaded.weights["conv.weight"].asnumpy(), WEIGHTS["conv.weight"])
    assert read_file(tmp_path / "a.ckpt")[0]["conv.weight"].shape == (2, 3, 3, 3)


def changed_tensor(**changes):
    content = message(WEIGHTS)
    tensor = content.value[0].tensor
    if "dims" in changes:
        del tensor.dims[:]
        tensor.dims.extend(changes["dims"])
    for name in ("tensor_type", "tensor_content"):
        if name in changes:
            setattr(tensor, name, changes[name])
    if "tag" in changes:
        content.value[0].tag = changes["tag"]
    return content.SerializeToString()


FIELD = b"\x0a"  # the first of a message, of a length and bytes
BAD_CHECKPOINTS = {  # name -> content
    "dimensions too short": changed_tensor(dims=[1], tensor_content=b"A" * 65536),
    "dimensions too long": changed_tensor(dims=[2, 3, 3, 4]),
    "no dimensions": changed_tensor(dims=[]),
    "huge dimensions": changed_tensor(dims=[2**62, 2**62]),
    "dimensions whose product wraps to the right one": changed_tensor(dims=[2**32, 2**32, 54], tensor_content=b""),
    "a dimension below 0": changed_tensor(dims=[-2, -3, 3, 3]),
    "a dimension of 0": changed_tensor(dims=[0, 3], tensor_content=b""),
    "a thousand dimensions": changed_tensor(dims=[1] * 1000),
    "an unknown type": changed_tensor(tensor_type="Float7"),
    "no type": changed_tensor(tensor_type=""),
    "another type": changed_tensor(tensor_type="Float64"),
    "no content": changed_tensor(tensor_content=b""),
    "content cut": changed_tensor(tensor_content=b"A" * 215),
    "two of one name": changed_tensor(tag="fc.bias"),
    "no name": changed_tensor(tag=""),
    "a long name": changed_tensor(tag="a" * 2000),
    "a name with control characters": changed_tensor(tag="\x1b[31m", dims=[3]),
    "text of odd bytes": message({}, {}).SerializeToString() + changed_tensor(tensor_type="str", tensor_content=b"abc"),
    "text beyond Unicode": changed_tensor(tensor_type="str", tensor_content=b"\xff\xff\xff\x7f"),
    "a name that is not UTF-8": changed_tensor(tag="ZZZZ").replace(b"ZZZZ", b"\xff\xfe\xfd\xfc"),
    "nothing": b"",
    "zeros": bytes(100),
    "a length beyond the file": FIELD + b"\xff\xff\xff\xff\x07" + b"A",
    "a length of 2^63": FIELD + b"\xff" * 9 + b"\x01",
    "a number without end": b"\xff" * 100,
    "a group": b"\x0b" + b"\x0c",
    "messages in messages": FIELD + b"\x02" + FIELD + b"\x00",
    "another field": changed_tensor() + b"\x12\x00",
    "garbage behind": changed_tensor() + b"garbage",
    "truncated": changed_tensor()[:-1],
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_bad_checkpoints_are_one_line(tmp_path, name):
    path = tmp_path / "a.ckpt"
    path.write_bytes(BAD_CHECKPOINTS[name])
    assert "not a MindSpore checkpoint" in refusal(checkpoint.load, path)


def test_a_description_of_more_classes_than_there_are_builds_nothing(tmp_path):
    path = write(tmp_path / "a.ckpt", described({"fc.weight": np.ones((3, 4), np.float32)}, '{"num_classes": 16777216}'))
    assert "num_classes is 16777216, fc.weight has (3, 4)" in refusal(checkpoint.load, path)
