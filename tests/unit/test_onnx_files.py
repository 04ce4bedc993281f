"""ONNX files that contradict themselves or reach for more than their own content."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from refusals import refusal

import eval as evaluation
from src.errors import UserError
from src.formats.onnx import open_onnx

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 4, 4), np.float32)


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
