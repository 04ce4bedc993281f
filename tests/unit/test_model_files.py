"""Checkpoints, ONNX and MINDIR files that contradict themselves or reach for more than their own content."""


import mindspore as ms
import numpy as np
import onnx
import pytest
from checkpoints import add, described, message, write
from mindspore import nn
from mindspore.train.mind_ir_pb2 import ModelProto
from onnx import TensorProto, helper, numpy_helper

import eval as evaluation
from src import checkpoint
from src.checkpoint_file import read_file
from src.errors import UserError
from src.formats.mindir import open_mindir, write_mindir
from src.formats.onnx import open_onnx

WEIGHTS = {"conv.weight": np.arange(54, dtype=np.float32).reshape(2, 3, 3, 3), "fc.bias": np.float32([1, 2])}
IMAGES = np.random.default_rng(0).standard_normal((2, 3, 4, 4), np.float32)


def refusal(read, path) -> str:
    with pytest.raises(UserError) as error:
        read(path)
    line = str(error.value)
    assert line.isprintable() and str(path) in line and len(line) < 600
    return line


# Checkpoints


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


# ONNX


def onnx_model(*, nodes=(), initializers=(), domain: str = "", **options):
    """A pool over each image and what is added to it."""
    pool = helper.make_node("GlobalAveragePool", ["input"], ["pooled"], domain=domain)
    flat = helper.make_node("Flatten", ["pooled"], ["output1"])
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 4, 4])
    logits = helper.make_tensor_value_info("output1", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph([pool, *nodes, flat], "g", [image], [logits], initializer=list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, **options)


def constant(**changes) -> TensorProto:
    tensor = numpy_helper.from_array(np.ones((2, 3), np.float32), "constant")
    for key, value in changes.items():
        if key == "dims":
            del tensor.dims[:]
            tensor.dims.extend(value)
        elif key == "location":
            tensor.data_location = TensorProto.EXTERNAL
            tensor.ClearField("raw_data")
            for name, text in (("location", value), ("offset", "4096"), ("length", "24")):
                tensor.external_data.add(key=name, value=text)
        else:
            setattr(tensor, key, value)
    return tensor


def of_constant(**changes):
    """In an attribute instead of among the weights."""
    return onnx_model(nodes=[helper.make_node("Constant", [], ["c"], value=constant(**changes))])


def with_branch():
    branch = helper.make_graph([], "branch", [], [])
    return onnx_model(nodes=[helper.make_node("If", ["c"], ["x"], then_branch=branch, else_branch=branch)])


def with_function():
    node = helper.make_node("Identity", ["a"], ["b"])
    return onnx_model(functions=[helper.make_function("own", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 13)])])


def twice() -> bytes:
    """An initializer's raw data twice: the second counts."""
    tensor = constant().SerializeToString() + constant(raw_data=b"1234").SerializeToString()[-6:]
    model = onnx_model()
    graph = model.graph.SerializeToString() + field(5, tensor)
    model.ClearField("graph")
    return model.SerializeToString() + field(7, graph)


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(content)) + content


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def nested(numbers: tuple, depth: int) -> bytes:
    content = b""
    for i in range(depth):
        content = field(numbers[-1 - i % len(numbers)], content)
    return content


BAD_ONNX = {  # name -> model or bytes, part of the line
    "an address in memory": (onnx_model(initializers=[constant(location="*/_ORT_MEM_ADDR_/*")]), "outside the file"),
    "a file elsewhere": (onnx_model(initializers=[constant(location="../../etc/passwd")]), "outside the file"),
    "a file beside it": (onnx_model(initializers=[constant(location="weights.bin")]), "outside the file"),
    "a file in an attribute": (of_constant(location="/etc/passwd"), "outside the file"),
    "another domain": (onnx_model(domain="com.example"), "domain 'com.example'"),
    "a domain with control characters": (onnx_model(domain="\x1b[2J"), r"domain '\x1b[2J'"),
    "a loop": (with_branch(), "a graph within an operator"),
    "a function": (with_function(), "functions or training"),
    "fewer bytes than dimensions": (onnx_model(initializers=[constant(dims=[2, 300])]), "not those of its dimensions"),
    "more bytes than dimensions": (onnx_model(initializers=[constant(dims=[1])]), "not those of its dimensions"),
    "a dimension below 0": (onnx_model(initializers=[constant(dims=[-2, -3])]), "not those of its dimensions"),
    "dimensions whose product wraps": (onnx_model(initializers=[constant(dims=[2**32, 2**32])]), "not those of its"),
    "an unknown type": (onnx_model(initializers=[constant(data_type=99)]), "unknown type 99"),
    "data twice": (twice(), "stands twice"),
    "graphs in graphs": (field(7, nested((1, 5, 6), 300)), "a graph within an operator"),
    "two graphs": (onnx_model().SerializeToString() * 2, "stands twice"),
    "no graph": (b"\x08\x08", "no graph"),
    "text": (b"hello " * 50, "not a usable ONNX file"),
    "nothing": (b"", "not a usable ONNX file"),
    "truncated": (onnx_model().SerializeToString()[:-5], "not a usable ONNX file"),
    "more fields than a network has": (field(7, b"\x08\x01" * (1 << 20 | 1)), "fields"),
    "what onnxruntime refuses": (onnx_model(nodes=[helper.make_node("Nothing", ["input"], ["y"])]), "not a usable ONNX"),
}


@pytest.mark.parametrize("name", BAD_ONNX)
def test_bad_onnx_files_are_one_line(tmp_path, name):
    model, part = BAD_ONNX[name]
    path = tmp_path / "a.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    assert part in refusal(open_onnx, path)


def test_good_onnx_files_run(tmp_path):
    weights = [constant(), constant(name="other", data_type=TensorProto.INT32)]
    onnx.save(onnx_model(initializers=weights), tmp_path / "a.onnx")
    np.testing.assert_allclose(open_onnx(tmp_path / "a.onnx")(IMAGES), IMAGES.mean((2, 3)), rtol=1e-5)


def test_images_of_another_size_are_one_line(exported, trained, refused):
    arguments = ["--data_dir", trained["data"], "--pretrained", exported, "--platform", "CPU"]
    line = refused(evaluation.main, *arguments, "--image_size", "32,32")
    assert "image_size: 32,32 was asked for, but" in line and "takes 16,16" in line
    with pytest.raises(UserError, match="cannot be run on images of image_size 32,32"):
        open_onnx(exported)(np.zeros((1, 3, 32, 32), np.float32))


def test_logits_of_another_number_or_that_are_no_numbers_are_one_line(tmp_path, trained, refused):
    onnx.save(onnx_model(), tmp_path / "a.onnx")
    arguments = ["--pretrained", tmp_path / "a.onnx", "--image_size", "4,4", "--platform", "CPU"]
    arguments += ["--predict", trained["data"] / "val"]
    line = refused(evaluation.main, *arguments)
    assert "numbers for" in line and "num_classes is 1000" in line
    infinite = helper.make_node("Div", ["input", "zero"], ["divided"])
    model = onnx_model(nodes=[infinite], initializers=[numpy_helper.from_array(np.zeros(1, np.float32), "zero")])
    model.graph.node.insert(0, model.graph.node.pop(1))
    model.graph.node[1].input[0] = "divided"
    onnx.save(model, tmp_path / "a.onnx")
    line = refused(evaluation.main, *arguments, "--num_classes", "3")
    assert "output holds NaN or Inf" in line


# MINDIR


@pytest.fixture(scope="module")
def mindir(tmp_path_factory):
    """A small network's file and its content."""
    path = tmp_path_factory.mktemp("mindir") / "net.mindir"
    network = nn.SequentialCell(nn.Conv2d(3, 4, 3, has_bias=True), nn.ReLU(), nn.Flatten(), nn.Dense(64, 3)).set_train(False)
    write_mindir(network, (3, 4, 4), 0, path)
    return path, network(ms.Tensor(IMAGES)).asnumpy()


def test_good_mindir_files_run(mindir):
    path, expected = mindir
    np.testing.assert_allclose(open_mindir(path)(IMAGES), expected, atol=1e-4)
    with pytest.raises(UserError, match="cannot be run on images of image_size 9,9"):
        open_mindir(path)(np.zeros((1, 3, 9, 9), np.float32))


def custom_primitive(model: ModelProto) -> None:
    primitive = model.primitives.add(name="Custom:1", op_type="Custom", prim_type=1)
    primitive.attribute.add(name="func_type", type=8, s=b"aot")
    primitive.attribute.add(name="func", type=8, s=b"./evil.so:run")
    model.graph.node.add(op_type="REF::Custom:1", input=["x"], output=["y"])


def custom_node(model: ModelProto) -> None:
    model.graph.node.add(op_type="Custom", input=["x"], output=["y"]).attribute.add(name="func", type=8, s=b"evil.so:run")


def custom_in_a_function(model: ModelProto) -> None:
    model.functions.add(name="f").node.add(op_type="Custom")


def custom_named_otherwise(model: ModelProto) -> None:
    model.primitives[0].op_type = "Custom"


def py_func(model: ModelProto) -> None:
    model.primitives.add(name="PyFunc:1", op_type="PyFunc")


def reading_operator(model: ModelProto) -> None:
    model.primitives.add(name="ReadFile:1", op_type="ReadFile")


def undescribed(model: ModelProto) -> None:
    model.graph.node.add(op_type="REF::Elsewhere:3")


def outside(model: ModelProto) -> None:
    model.graph.parameter[0].external_data.location = "../other"


def outside_constant(model: ModelProto) -> None:
    attribute = model.graph.node.add(op_type="Constant", output=["c"]).attribute.add(name="value", type=17)
    attribute.tensors.add(data_type=1, dims=[1]).external_data.location = "/etc/passwd"


def data_pipeline(model: ModelProto) -> None:
    model.preprocessor.op.add(op_type="map", operations="anything")


def other_file(model: ModelProto) -> None:
    model.graph.bprop_filepath = "/tmp/other.mindir"


def compressed(model: ModelProto) -> None:
    model.graph.parameter[0].compression_type = 1


def short_weights(model: ModelProto) -> None:
    model.graph.parameter[0].raw_data = b"1234"


def huge_weights(model: ModelProto) -> None:
    model.graph.parameter[0].dims[0] = 2**40


def deep(model: ModelProto) -> None:
    attribute = model.graph.node.add(op_type="Constant").attribute.add(name="value", type=20)
    for _ in range(60):
        attribute = attribute.values.add(name="value", type=20)


BAD_MINDIR = [
    custom_primitive, custom_node, custom_in_a_function, custom_named_otherwise, py_func, reading_operator, undescribed,
    outside, outside_constant, data_pipeline, other_file, compressed, short_weights, huge_weights, deep,
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_MINDIR)
def test_bad_mindir_files_are_one_line(mindir, tmp_path, change, monkeypatch):
    model = ModelProto()
    model.ParseFromString(mindir[0].read_bytes())
    change(model)
    path = tmp_path / "a.mindir"
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(ms, "load", lambda *_, **__: pytest.fail("MindSpore saw the file"))
    assert "not a usable MINDIR file" in refusal(open_mindir, path)


@pytest.mark.parametrize("content", [b"", b"hello " * 50, b"\x0a\x03abc", field(7, b"")[:1], None])
def test_what_is_no_mindir_is_one_line(mindir, tmp_path, content):
    path = tmp_path / "a.mindir"
    path.write_bytes(mindir[0].read_bytes()[:-3] if content is None else content)
    refusal(open_mindir, path)
