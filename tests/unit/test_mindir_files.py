"""MINDIR files that ask for more than the operators of a classifier, or contradict themselves."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn
from mindspore.train.mind_ir_pb2 import ModelProto
from refusals import refusal

from src.errors import UserError
from src.formats.mindir import open_mindir, write_mindir

IMAGES = np.random.default_rng(0).standard_normal((2, 3, 4, 4), np.float32)


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


@pytest.mark.parametrize("content", [b"", b"hello " * 50, b"\x0a\x03abc", b"\x3a", None])
def test_what_is_no_mindir_is_one_line(mindir, tmp_path, content):
    path = tmp_path / "a.mindir"
    path.write_bytes(mindir[0].read_bytes()[:-3] if content is None else content)
    refusal(open_mindir, path)
