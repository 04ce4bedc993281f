"""The AscendCL and MindSpore Lite backends against stand-in libraries, under AddressSanitizer and UBSan.

No device runs here. What is checked: the programs' own work, memory, and that the SDKs' rules are kept. The environment
variables ACL_INCLUDE_DIR (CANN's headers) and LITE_INCLUDE_DIR (MindSpore's) replace the declarations in
ascend310_infer/tests/standins by the real ones.
"""

import hashlib
import json
import os
import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mindspore.train.mind_ir_pb2 import ModelProto
from photos import photo
from PIL import Image

import export
from conftest import TINY
from src.data.preprocessing import to_gray

pytestmark = pytest.mark.slow

SIDE, CLASSES, IMAGES = 16, 5, 11
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
# What may fail while everything is set up and run. Releasing may not: there is nothing left to be done then.
ACL_CALLS = (
    "aclInit", "aclrtSetDevice", "aclrtCreateContext", "aclmdlLoadFromFile", "aclmdlCreateDesc", "aclmdlGetDesc",
    "aclmdlGetInputDims", "aclmdlGetDynamicBatch", "aclmdlGetInputIndexByName", "aclmdlGetOutputDims", "aclrtGetRunMode",
    "aclrtMalloc", "aclrtMalloc:5", "aclCreateDataBuffer", "aclCreateDataBuffer:3", "aclmdlCreateDataset",
    "aclmdlCreateDataset:3", "aclmdlAddDatasetBuffer", "aclmdlAddDatasetBuffer:4", "aclrtMemcpy", "aclrtMemcpy:3",
    "aclrtMemcpy:8", "aclrtSetCurrentContext", "aclrtSetCurrentContext:3", "aclmdlSetDynamicBatchSize",
    "aclmdlSetDynamicBatchSize:3", "aclmdlExecute", "aclmdlExecute:4",
)  # fmt: skip


def run(program, *arguments, **variables):
    return subprocess.run(
        [str(program), *map(str, arguments)], capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )


def write_model(path: Path, kind: str, batch: str, channels: int = 3) -> Path:
    """A linear model for the stand-ins, kind such as "uint8-float16", with its .meta.json."""
    data_type, output = kind.split("-")
    path.parent.mkdir(exist_ok=True)
    text = f"linear input={data_type} output={output} height={SIDE} width={SIDE} classes={CLASSES} {batch}\n".encode()
    head = bytes((6 << 3 | 2, len(text))) if path.suffix == ".mindir" else b""  # the field doc_string
    path.write_bytes(head + text)
    preprocessing = {"image_size": [SIDE, SIDE], "resize": 18, "resize_mode": "shorter", "antialias": False}
    meta = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "num_classes": CLASSES, "class_names": [],
        "preprocessing": {**preprocessing, "mean": MEAN[:channels], "std": STD[:channels]},
    }  # fmt: skip
    Path(f"{path}.meta.json").write_text(json.dumps(meta))
    return path


@pytest.fixture(scope="session")
def images(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        Image.fromarray(photo(20 + number, 40 - number, number)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def crops(sanitized_programs, images) -> np.ndarray:
    """What the network sees of each image, uint8 (N, H, W, 3); test_app.py compares it with the Python pipeline."""
    command = [sanitized_programs / "crop_image", SIDE, SIDE, 18, "shorter", "sampling", *sorted(images.iterdir())]
    output = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True).stdout
    return np.frombuffer(output, np.uint8).reshape(IMAGES, -1)[:, 1:].reshape(IMAGES, SIDE, SIDE, 3)


def model_inputs(crops: np.ndarray, kind: str) -> np.ndarray:
    if kind.startswith("uint8"):
        return crops
    return ((crops / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(np.float32)


def linear_logits(inputs: np.ndarray) -> np.ndarray:
    flat = inputs.reshape(len(inputs), -1).astype(np.float64)
    index = np.arange(flat.shape[1])
    return np.stack([flat @ ((index * (k + 3) % 7 - 3) / 1024) for k in range(CLASSES)], axis=1)


def check_results(folder: Path, names: list, expected: np.ndarray, kind: str) -> None:
    found = np.stack([np.fromfile(folder / f"{name}_0.bin", np.float32) for name in names])
    np.testing.assert_allclose(found, expected, rtol=1e-3 if kind.endswith("16") else 1e-5, atol=1e-4)


KINDS = ["float32-float32", "uint8-float32", "float32-float16", "uint8-float16"]
BATCHES = [("batch=1", []), ("batch=4", []), ("gears=1,2,8", []), ("gears=2,8", ["--batch", 3])]


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("ending", ["om", "mindir"])
def test_gray_images_are_one_channel(sanitized_programs, images, crops, tmp_path, ending, kind):
    gray = to_gray(crops)
    numbers = ((gray / 255 - MEAN[0]) / STD[0]).transpose(0, 3, 1, 2).astype(np.float32)
    expected = linear_logits(gray if kind.startswith("uint8") else numbers)
    model = write_model(tmp_path / f"model/gray.{ending}", kind, "batch=4 channels=1", channels=1)
    result = run(sanitized_programs / "infer_images", "--model_path", model, "--dataset_path", images, "--output", tmp_path)
    assert result.returncode == 0 and not result.stderr, result.stderr
    check_results(tmp_path / "result_Files", [f"{i:02}" for i in range(IMAGES)], expected, kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("ending", "device"), [("om", "ascend"), ("mindir", "ascend"), ("mindir", "cpu")])
def test_logits_for_every_kind_of_model(sanitized_programs, images, crops, tmp_path, ending, device, kind):
    expected = linear_logits(model_inputs(crops, kind))
    assert np.abs(expected - expected[0]).max() > 0.1  # the images differ in their logits
    for batch, flags in BATCHES:
        model = write_model(tmp_path / f"model/{batch}.{ending}", kind, batch)
        command = ["--model_path", model, "--dataset_path", images, "--output", tmp_path, "--device", device, *flags]
        result = run(sanitized_programs / "infer_images", *command)
        assert result.returncode == 0 and not result.stderr, result.stderr
        assert f"images: {IMAGES}, failed: 0" in result.stdout
        check_results(tmp_path / "result_Files", [f"{i:02}" for i in range(IMAGES)], expected, kind)


@pytest.mark.parametrize("ending", ["om", "mindir"])
def test_bin_inputs(sanitized_programs, crops, tmp_path, ending):
    kind, inputs = "float32-float32", tmp_path / "in"
    inputs.mkdir()
    values = model_inputs(crops, kind)
    for number, value in enumerate(values):
        value.tofile(inputs / f"x{number}.bin")
    model = write_model(tmp_path / f"model.{ending}", kind, "gears=1,4")
    common = ["--model", model, "--input", inputs, "--output", tmp_path, "--output_dirname", "r", "--batchsize", 4]
    result = run(sanitized_programs / "infer_bin", *common, "--device", 3)
    assert result.returncode == 0 and not result.stderr, result.stderr
    check_results(tmp_path / "r", [f"x{i}" for i in range(IMAGES)], linear_logits(values), kind)


def test_a_program_on_the_device_itself_copies_within_the_device(sanitized_programs, images, crops, tmp_path):
    model = write_model(tmp_path / "model.om", "uint8-float32", "batch=2")
    command = ["--model_path", model, "--dataset_path", images, "--output", tmp_path]
    result = run(sanitized_programs / "infer_images", *command, STANDIN_RUN_MODE="device")
    assert result.returncode == 0 and not result.stderr, result.stderr
    check_results(tmp_path / "result_Files", [f"{i:02}" for i in range(IMAGES)], linear_logits(crops), "float32")


def test_every_failing_call_is_one_line_and_releases_everything(sanitized_programs, images, tmp_path):
    model = write_model(tmp_path / "model.om", "uint8-float32", "gears=1,2")
    for call in ACL_CALLS:
        name, number = call.split(":") if ":" in call else (call, 1)
        command = ["--model_path", model, "--dataset_path", images, "--output", tmp_path / "out", "--threads", 2]
        result = run(sanitized_programs / "infer_images", *command, STANDIN_FAIL=f"{name}:{number}")
        # The sanitizers and the stand-in would add lines of their own.
        assert re.fullmatch(rf"error: AscendCL: {name} failed( with 500002: EE9999: .*)?\n", result.stderr), result.stderr
        assert result.returncode == 1, call
    mindir = write_model(tmp_path / "model.mindir", "uint8-float32", "gears=1,2")
    for call in ("Build", "Resize", "Predict"):
        command = ["--model_path", mindir, "--dataset_path", images, "--output", tmp_path / "out", "--device", "ascend"]
        result = run(sanitized_programs / "infer_images", *command, STANDIN_FAIL=call)
        assert re.fullmatch(rf"error: MindSpore Lite: Model::{call}: .+\n", result.stderr), result.stderr
        assert result.returncode == 1, call


@pytest.mark.parametrize("ending", ["om", "mindir"])
def test_models_that_do_not_fit_are_one_line(sanitized_programs, images, tmp_path, ending):
    def refusal(kind: str, batch: str, *flags) -> str:
        model = write_model(tmp_path / f"model.{ending}", kind, batch)
        flags = ["--device", "ascend", *flags] if ending == "mindir" and "--device" not in flags else flags
        result = run(sanitized_programs / "infer_images", "--model_path", model, "--dataset_path", images, *flags)
        assert result.returncode in (1, 2) and result.stderr.count("\n") == 1, result.stderr
        return result.stderr

    assert "takes batches of 4 only, got 2" in refusal("uint8-float32", "batch=4", "--batch", 2)
    assert "failed" in refusal("uint8-float32", "nonsense") or ending == "mindir"
    assert "--precision: bf16 is for .onnx models" in refusal("uint8-float32", "batch=1", "--precision", "bf16")
    assert "error: " in refusal("uint8-float32", "batch=1", "--device_id", 9)
    assert "has num_classes 4, but its .meta.json says 5" in refusal("uint8-float32", "batch=1 classes=4")
    assert "has the input height 8, but its .meta.json says 16" in refusal("uint8-float32", "batch=1 height=8")
    if ending == "mindir":
        for call in ("Build", "Resize"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("STANDIN_FAIL", call)
                assert f"Model::{call}: " in refusal("uint8-float32", "gears=1,2", "--device", "cpu")
    if ending == "om":
        assert "--device: an .om model runs on Ascend only" in refusal("uint8-float32", "batch=1", "--device", "cpu")
        assert "takes batches of 1 to 8, got 9" in refusal("uint8-float32", "gears=2,8", "--batch", 9)


def test_a_mindir_that_is_too_new_names_both_versions(sanitized_programs, images, tmp_path):
    model = write_model(tmp_path / "model.mindir", "uint8-float32", "batch=1")
    arguments = ["--model_path", model, "--dataset_path", images]
    result = run(sanitized_programs / "infer_images", *arguments, STANDIN_FAIL="Version")
    assert result.returncode == 2
    assert result.stderr == (
        f"error: --model_path: '{model}' has MINDIR version 0, written by unknown; MindSpore Lite 0.1 takes up to version 1."
        " Use MindSpore Lite of the release that wrote it, or export with --file_format MINDIR --converter_lite run\n"
    )


def test_a_stream_of_inputs(sanitized_programs, crops, tmp_path):
    """infer_stream: a head, then as many logits as there are images in every message."""
    for ending, kind in (("om", "uint8-float16"), ("mindir", "float32-float32")):
        values = model_inputs(crops, kind)
        model = write_model(tmp_path / f"model.{ending}", kind, "gears=1,8")
        messages = b"".join(struct.pack("=I", len(part)) + part.tobytes() for part in (values[:8], values[8:9], values[9:]))
        command = [sanitized_programs / "infer_stream", "--model_path", model, "--batch", "8"]
        result = subprocess.run([str(word) for word in command], input=messages, capture_output=True, check=False)
        assert result.returncode == 0 and not result.stderr, result.stderr
        head, _, logits = result.stdout.partition(b"\n")
        assert head.decode() == f"{kind.split('-')[0]} {SIDE} {SIDE} {CLASSES} 8"
        found = np.frombuffer(logits, np.float32).reshape(IMAGES, CLASSES)
        np.testing.assert_allclose(found, linear_logits(values), rtol=1e-3 if kind.endswith("16") else 1e-5, atol=1e-4)
        for wrong in (
            struct.pack("=I", 9),
            struct.pack("=I", 0),
            struct.pack("=I", 2) + bytes(5),
            struct.pack("=I", 1 << 31),
        ):
            result = subprocess.run([str(word) for word in command], input=wrong, capture_output=True, check=False)
            assert result.returncode == 2 and re.fullmatch(rb"error: standard input: [^\n]+\n", result.stderr), result


def test_a_mindir_is_looked_through_before_the_library_opens_it(sanitized_programs, trained, tmp_path, command):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.bin").write_bytes(bytes(4))

    def outcome(model: Path) -> str:
        arguments = ["--model", model, "--input", tmp_path / "in", "--output", tmp_path]
        return run(sanitized_programs / "infer_bin", *arguments).stderr

    real = tmp_path / "real.mindir"
    code, _, err = command(
        export.main, "--ckpt_file", trained["ckpt"], "--file_format", "MINDIR", "--file_name", real, *TINY
    )  # fmt: skip
    assert code == 0, err
    assert outcome(real).startswith("error: MindSpore Lite: Model::Build: ")  # the stand-in, which knows linear models only

    graph = ModelProto()
    graph.ParseFromString(real.read_bytes())
    custom = graph.primitives.add(name="Custom:9", op_type="Custom")
    custom.attribute.add(name="func_name", s=b"./libevil.so:run")
    changed = tmp_path / "changed.mindir"
    changed.write_bytes(graph.SerializeToString())
    assert "changed.mindir' has an operator Custom that runs code of its own, './libevil.so:run'" in outcome(changed)
    changed.write_bytes(real.read_bytes()[:-100])
    assert outcome(changed).endswith("changed.mindir' is truncated or damaged\n")


RULES = [
    "no_init", "host_access", "overrun", "capacity", "direction", "host_buffer", "short_block", "thread", "left_buffer",
    "in_use", "double_free", "left_dataset",
]  # fmt: skip


def test_the_stand_in_notices_broken_rules(sanitized_programs):
    assert run(sanitized_programs / "tests/standins/misuse").returncode == 0
    for rule in RULES:
        result = run(sanitized_programs / "tests/standins/misuse", rule)
        assert result.returncode != 0, rule
        assert ("SEGV" if rule == "host_access" else "STAND-IN: ") in result.stderr, result.stderr


def test_unit_tests_under_the_sanitizers(sanitized_programs):
    result = run(sanitized_programs / "unit_tests")
    assert result.returncode == 0, result.stdout + result.stderr
