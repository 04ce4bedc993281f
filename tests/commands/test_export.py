import contextlib
import dataclasses
import io
import json
import resource
from importlib.util import find_spec
from pathlib import Path

import mindspore as ms
import numpy as np
import onnx
import pytest

import export as export_command
from conftest import TINY
from src import checkpoint
from src.errors import run_command
from src.exporting import export as exporting
from src.formats.mindir import open_mindir
from src.formats.onnx import open_onnx
from src.model_info import ModelInfo
from src.models.create import create_model
from src.networks import registry
from src.networks.registry import find_model


def network_with_random_statistics(name: str, padding: str = "symmetric"):
    """A network whose batch norms do something, so that a wrong fold shows."""
    network, generator = create_model(name, 10, padding=padding), np.random.default_rng(0)
    for parameter in network.get_parameters():
        if "running" in parameter.name or parameter.ndim == 1 and not parameter.name.startswith("fc."):
            low, high = (0.5, 1.5) if parameter.name.endswith(("var", "weight")) else (-0.2, 0.2)
            parameter.set_data(ms.Tensor(generator.uniform(low, high, parameter.shape).astype(np.float32)))
    return network.set_train(False)


BLOCKS = [
    "resnet18", "resnext50_32x4d", "seresnext50_32x4d", "resnet50d", "resnest50d", "resnest50d_4s2x40d", "resnet20",
    "resnext50_32x4d same",
    pytest.param("resnest50d_1s4x24d", marks=pytest.mark.exhaustive),
    pytest.param("resnest50d same_pools", marks=pytest.mark.exhaustive),
]  # fmt: skip


def open_openvino(path: Path):
    """Runs an ONNX file with a runtime that shares no code with onnxruntime."""
    import openvino

    # Some processors would compute in bfloat16 by default.
    model = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: model(images)[0]


@pytest.fixture(scope="module", params=BLOCKS)
def exported(request, tmp_path_factory):
    """Files of a network with three stages of one block, eight images and the network's answer to them."""
    folder = tmp_path_factory.mktemp("exported")
    name, _, padding = request.param.partition(" ")
    spec, padding = find_model(name), padding or "symmetric"
    screen = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(screen):
        patch.setitem(registry._MODELS, "small", dataclasses.replace(spec, stage_sizes=(1, 1, 1)))
        network = network_with_random_statistics("small", padding)
        info = ModelInfo(backbone="small", padding=padding, num_classes=10, class_names=tuple("abcdefghij"))
        checkpoint.save(network, folder / "a.ckpt", info)
        for kind in ("MINDIR", "ONNX"):
            arguments = ["--ckpt_file", str(folder / "a.ckpt"), "--file_format", kind, "--image_size", "64,72"]
            assert run_command(export_command.main, arguments) == 0
    assert screen.getvalue().count("logits within") == 2
    images = np.random.default_rng(8).standard_normal((8, 3, 64, 72), np.float32)
    return folder, images, network(ms.Tensor(images)).asnumpy().copy()


RUNTIMES = {"MindSpore": ("mindir", open_mindir), "onnxruntime": ("onnx", open_onnx), "openvino": ("onnx", open_openvino)}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_block_exports_with_any_batch(exported, runtime):
    if runtime == "openvino" and find_spec("openvino") is None:
        pytest.skip("openvino is not installed; onnxruntime runs the same file")
    folder, images, logits = exported
    ending, reopen = RUNTIMES[runtime]
    classify = reopen(folder / f"a.{ending}")
    assert logits.std(0).max() > 1e-3  # a dead network would agree with anything
    for count in (1, 3, 8):
        expected = logits[:count]
        np.testing.assert_allclose(classify(images[:count]), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    meta = json.loads((folder / f"a.{ending}.meta.json").read_text())
    assert meta["backbone"] == "small" and meta["max_abs_diff"] < 1e-3 and meta["compared_batch_sizes"] == [1, 3]
    assert meta["preprocessing"]["image_size"] == [64, 72] and meta["class_names"][0] == "a"


def test_the_onnx_file_is_what_other_programs_expect(trained, tmp_path, command):
    command(export_command.main, "--ckpt_file", trained["ckpt"], "--file_format", "ONNX", "--file_name", tmp_path / "a.onnx")
    model = onnx.load(str(tmp_path / "a.onnx"))
    onnx.checker.check_model(model, full_check=True)
    (image,), (logits,) = model.graph.input, model.graph.output
    assert (image.name, logits.name) == ("input", "output1")
    assert [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim] == ["N", 3, 16, 16]
    assert [d.dim_param or d.dim_value for d in logits.type.tensor_type.shape.dim] == ["N", 3]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}  # folded


def test_a_network_with_split_groups_exports_like_the_fused_one(trained, tmp_path, command):
    operations = {}
    for form in ("fused", "split"):
        code, _, err = command(
            export_command.main, "--ckpt_file", trained["ckpt"], "--file_format", "ONNX", "--group_conv", form,
            "--file_name", tmp_path / f"{form}.onnx",
        )  # fmt: skip
        assert code == 0, err
        operations[form] = [node.op_type for node in onnx.load(str(tmp_path / f"{form}.onnx")).graph.node]
    assert operations["fused"] == operations["split"]


def test_an_export_is_never_there_without_its_description(trained, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "write_meta", killed)
    arguments = ["--ckpt_file", trained["ckpt"], "--file_format", "ONNX", "--file_name", tmp_path / "net.onnx", *TINY]
    assert run_command(export_command.main, [str(argument) for argument in arguments]) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["ONNX", "MINDIR"])
def test_an_export_that_does_not_fit_is_one_line_and_leaves_nothing(trained, tmp_path, refused, kind):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        arguments = ["--ckpt_file", trained["ckpt"], "--file_format", kind, "--file_name", tmp_path / "net", *TINY]
        line = refused(export_command.main, *arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"net.{kind.lower()}: cannot be written: " in line and "No such file" not in line
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_answers_differently_is_not_written(trained, tmp_path, refused, monkeypatch):
    monkeypatch.setattr(exporting, "open_onnx", lambda path: lambda images: open_onnx(path)(images) + 0.002)
    line = refused(
        export_command.main, "--ckpt_file", trained["ckpt"], "--file_format", "ONNX", "--file_name", tmp_path / "a.onnx"
    )
    assert "differ from the network's by 0.002" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([], ["ckpt_file: no value"]),
        (["--ckpt_file", "nowhere.ckpt"], ["nowhere.ckpt: no such checkpoint file"]),
        (["--ckpt_file", "nowhere.ckpt", "--file_format", "AIR"], ["AIR can be written on Ascend only"]),
        (["--file_format", "OMM"], ["file_format", "'OMM'"]),
    ],
)
def test_bad_input_is_one_line(refused, arguments, parts):
    line = refused(export_command.main, "--platform", "CPU", *arguments)
    assert all(part in line for part in parts), line
