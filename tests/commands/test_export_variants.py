"""8-bit, encrypted and fixed-batch exports, and their evaluation."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

import eval as eval_command
import export as export_command
import train as train_command
from src.config import build_config
from src.exporting.export import export
from src.formats.keyfile import read_key
from src.formats.onnx import open_onnx
from src.log import log


@pytest.fixture
def arguments(trained, tmp_path):
    return ["--ckpt_file", trained["ckpt"], "--platform", "CPU", "--cache_dir", tmp_path / "cache"]


@pytest.fixture
def evaluated(trained, tmp_path, command):
    """Evaluates a file and returns the counts."""

    def run(file, *more) -> dict:
        code, _, err = command(
            eval_command.main, "--pretrained", file, "--data_dir", trained["data"] / "val", "--cache_dir", tmp_path,
            "--result_json", tmp_path / "result.json", *more,
        )  # fmt: skip
        assert code == 0, err
        return json.loads((tmp_path / "result.json").read_text())

    return run


def test_an_8_bit_file_with_the_accuracy_of_both(trained, arguments, tmp_path, command, evaluated):
    file = tmp_path / "net.onnx"
    code, out, err = command(
        export_command.main, *arguments, "--file_format", "ONNX", "--quantize", "int8", "--calibration_dir",
        trained["data"] / "train", "--calibration_images", 20, "--data_dir", trained["data"] / "val", "--file_name", file,
    )  # fmt: skip
    assert code == 0 and "Traceback" not in err, err
    shown = {name: float(top1) for name, top1 in re.findall(r"^(float32|int8): top-1 ([\d.]+) %.*\(33 images", out, re.M)}
    quantization = json.loads((tmp_path / "net.onnx.meta.json").read_text())["quantization"]
    assert quantization["calibration_images"] == 20 and quantization["same_top1"] > 0.9
    for name, evaluation in {"float32": evaluated(trained["ckpt"]), "int8": evaluated(file)}.items():
        assert quantization["accuracy"][name]["top1"] == evaluation["top1"] == pytest.approx(shown[name] / 100, abs=1e-4)
    model = onnx.load(str(file))
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in model.graph.node}
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    assert weights and set(weights.values()) == {onnx.TensorProto.INT8}
    assert sorted(path.name for path in tmp_path.glob("*net*")) == ["net.onnx", "net.onnx.meta.json"]
    images = np.random.default_rng(0).standard_normal((5, 3, 16, 16), np.float32)
    assert open_onnx(file)(images).shape == (5, 3)  # any batch size


@pytest.mark.parametrize("layout", ["", "day {}"])
def test_calibration_with_unlabeled_images_reports_the_agreement(trained, arguments, tmp_path, command, layout):
    for number, path in enumerate((trained["data"] / "train").glob("*/*")):
        folder = tmp_path / "flat" / layout.format(number % 2)  # "": the images themselves
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder)
    code, out, err = command(
        export_command.main, *arguments, "--file_format", "ONNX", "--quantize", "int8", "--batch_size", 4,
        "--calibration_dir", tmp_path / "flat", "--file_name", tmp_path / "net.onnx",
    )  # fmt: skip
    assert code == 0, err
    assert "int8 puts the same class first as float32 on" in out and "int8: top-1" not in out
    assert ("no accuracy is computed: " in out) == bool(layout)
    meta = json.loads((tmp_path / "net.onnx.meta.json").read_text())
    assert meta["quantization"]["calibration_images"] == 36 and meta["input"]["shape"][0] == 4


@pytest.mark.parametrize("kind", ["ONNX", "MINDIR"])
def test_a_fixed_batch_size_is_kept_and_evaluates_any_count(trained, arguments, tmp_path, command, evaluated, kind):
    file = tmp_path / "我的 models" / f"网络.{kind.lower()}"  # MindSpore's own exporters take plain names only
    code, out, err = command(export_command.main, *arguments, "--file_format", kind, "--batch_size", 4, "--file_name", file)
    assert code == 0 and "(batches of 4)" in out, err
    assert json.loads((file.parent / f"{file.name}.meta.json").read_text())["input"]["shape"] == [4, 3, 16, 16]
    if kind == "ONNX":
        assert onnx.load(str(file)).graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4
    assert evaluated(file, "--eval_batch_size", 7)["top1_correct"] == evaluated(trained["ckpt"])["top1_correct"]


def test_an_encrypted_mindir_needs_its_key(trained, arguments, tmp_path, command, evaluated, refused):
    secret = b"abcdefghijklmnop"
    key, file = tmp_path / "key", tmp_path / "net.mindir"
    key.write_bytes(secret + b"\n")
    key.chmod(0o600)
    code, out, err = command(export_command.main, *arguments, "--enc_key_file", key, "--file_name", file)
    assert code == 0 and "logits within" in out, err
    texts = [out, err, *(path.read_bytes().decode("latin-1") for path in (file, tmp_path / "net.mindir.meta.json"))]
    assert not any(secret.decode() in text or "layer1" in text for text in texts)
    assert json.loads((tmp_path / "net.mindir.meta.json").read_text())["encryption"] == "AES-GCM"
    correct = evaluated(trained["ckpt"])["top1_correct"]
    assert evaluated(file, "--enc_key_file", key)["top1_correct"] == correct
    assert secret.decode() not in (tmp_path / "result.json").read_text()
    settings = ["--pretrained", file, "--data_dir", trained["data"] / "val", "--cache_dir", tmp_path]
    assert "encrypted (AES-GCM); pass the file of its key" in refused(eval_command.main, *settings)
    key.write_bytes(secret[::-1])
    assert "cannot be decrypted with the key" in refused(eval_command.main, *settings, "--enc_key_file", key)


def test_a_key_file_that_others_can_read_is_mentioned(tmp_path, caplog, monkeypatch):
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o644)
    monkeypatch.setattr(log, "propagate", True)
    assert read_key(key) == bytes(range(32))
    assert "can be read by others (mode 0644)" in caplog.text


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--quantize", "int8"], ["quantize: int8 is written as ONNX only", "--file_format ONNX"]),
        (["--quantize", "int8", "--file_format", "ONNX"], ["calibration_dir: no value"]),
        (["--quantize", "int8", "--file_format", "ONNX", "--calibration_dir", "gone"], ["no such folder 'gone'"]),
        (["--enc_key_file", "gone"], ["enc_key_file: cannot read 'gone'"]),
        (["--enc_key_file", "/dev/null"], ["'/dev/null' holds 0 bytes; expected 16, 24 or 32"]),
        (["--enc_key_file", "key", "--file_format", "ONNX"], ["enc_key_file: only MINDIR can be encrypted"]),
    ],
)
def test_bad_input_is_one_line(arguments, refused, change, parts):
    line = refused(export_command.main, *arguments, *change)
    assert all(part in line for part in parts), line


def test_air_is_written_with_its_batch_size_and_described(trained, tmp_path, monkeypatch):
    """With a stand-in for MindSpore's exporter, which writes AIR on Ascend only."""

    def stand_in(network, images, file_name, file_format):
        assert file_format == "AIR"
        Path(file_name).write_text(str(images.shape))

    monkeypatch.setattr("src.formats.mindir.ms.export", stand_in)
    file = tmp_path / "net.air"
    for given, batch_size in ((0, 1), (8, 8)):
        keys = {"ckpt_file": str(trained["ckpt"]), "file_format": "AIR", "batch_size": given, "file_name": str(file)}
        export(build_config(keys), "Ascend")
        assert file.read_text() == f"({batch_size}, 3, 16, 16)"
        meta = json.loads((tmp_path / "net.air.meta.json").read_text())
        assert meta["input"]["shape"] == [batch_size, 3, 16, 16] and meta["max_abs_diff"] is None


def test_an_om_is_not_evaluated_without_ascend(trained, refused, tmp_path):
    (tmp_path / "net.om").write_bytes(b"om")
    line = refused(eval_command.main, "--pretrained", tmp_path / "net.om", "--data_dir", trained["data"] / "val")
    assert "net.om' needs AscendCL's Python interface" in line and "set_env.sh" in line and "the ONNX file" in line


@pytest.mark.parametrize(
    ("main", "key"), [(train_command.main, "--per_batch_size"), (eval_command.main, "--eval_batch_size")]
)
def test_the_batch_size_of_exports_is_refused_elsewhere(trained, refused, main, key):
    line = refused(main, "--data_dir", trained["data"], "--pretrained", trained["ckpt"], "--batch_size", 8)
    assert "batch_size: belongs to export.py" in line and key in line
