import dataclasses

import numpy as np
import onnx
import pytest

from src.formats.fold import prepare_for_inference
from src.formats.onnx import open_onnx, write_onnx
from src.formats.quantize import quantize
from src.models.create import create_model
from src.networks import registry
from src.networks.registry import find_model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnext50_32x4d", "seresnext50_32x4d", "resnest50d"])
def test_every_kind_of_block_keeps_its_answers_in_8_bits_on_both_runtimes(name, tmp_path, monkeypatch):
    monkeypatch.setitem(registry._MODELS, "small", dataclasses.replace(find_model(name), stage_sizes=(1, 1, 1, 1)))
    write_onnx(prepare_for_inference(create_model("small", 10).set_train(False)), (3, 64, 64), 0, tmp_path / "a.onnx")
    images = np.random.default_rng(0).standard_normal((8, 3, 64, 64), np.float32)
    quantize(tmp_path / "a.onnx", tmp_path / "a8.onnx", iter([images[:4], images[4:]]))
    model = onnx.load(str(tmp_path / "a8.onnx"))
    assert {opset.domain for opset in model.opset_import} == {""}
    scales = {tensor.name: tensor.dims for tensor in model.graph.initializer if tensor.name.endswith("_scale")}
    assert any(dims and dims[0] > 1 for dims in scales.values())  # per channel

    expected = open_onnx(tmp_path / "a.onnx")(images)
    allowed = 0.25 * expected.std()  # random weights: the logits differ little from image to image
    assert np.abs(open_onnx(tmp_path / "a8.onnx")(images) - expected).max() < allowed
    openvino = pytest.importorskip("openvino")
    compiled = openvino.Core().compile_model(str(tmp_path / "a8.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(compiled(images)[0] - expected).max() < allowed
