"""The off-line chain: images -> .bin -> a runner that is not ours -> result files -> accuracy."""

import json
import subprocess
import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import onnxruntime
import pytest

import create_imagenet2012_label as label_command
import eval as eval_command
import export as export_command
import postprocess as postprocess_command
import preprocess as preprocess_command
from conftest import ROOT, write_image
from src import checkpoint
from src.config import build_config
from src.data.pipeline import pixel_pipeline, read_batches
from src.data.preprocessing import preprocessing_from
from src.data.sources.lists import index_unlabeled
from src.errors import run_command
from src.formats.aipp import input_of, to_yuv420sp
from src.model_info import ModelInfo, write_meta
from src.models.create import create_model

CLASSES = tuple("abcdefghij")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """An untrained network of ten classes as .onnx, and images of which some have the same name as others."""
    root = tmp_path_factory.mktemp("offline")
    preprocessing = preprocessing_from(build_config({"image_size": "16,18", "eval_resize": 20}))
    info = ModelInfo(backbone="resnext11_8x16d", num_classes=10, class_names=CLASSES, preprocessing=preprocessing)
    network = create_model("resnext11_8x16d", 10)
    rng = np.random.default_rng(3)  # MindSpore's own draws change with its version
    for parameter in network.get_parameters():
        if parameter.name.endswith("weight") and parameter.ndim > 1:
            fan_in = np.prod(parameter.shape[1:])
            parameter.set_data(ms.Tensor(rng.normal(0, (2 / fan_in) ** 0.5, parameter.shape).astype(np.float32)))
    checkpoint.save(network, root / "net.ckpt", info)
    arguments = ["--ckpt_file", str(root / "net.ckpt"), "--file_format", "ONNX", "--platform", "CPU"]
    assert run_command(export_command.main, arguments) == 0
    for number, name in enumerate(CLASSES):
        write_image(root / "val" / name / f"{name}.png", number % 3, number)
        write_image(root / "val" / name / "same.jpg", number % 3, 100 + number, size=(40, 30))
        write_image(root / "val" / name / "deeper" / f"v{number}.2.JPEG", number % 3, 200 + number)
    return root


def settings(network, tmp_path) -> list:
    return ["--data_dir", network / "val", "--cache_dir", tmp_path / "cache", "--platform", "CPU"]


def run_network(model: Path, inputs: Path, outputs: Path, as_text: bool = False) -> None:
    """Stands for ascend310_infer and ais_bench: one .bin in, one result out."""
    session = onnxruntime.InferenceSession(str(model))
    outputs.mkdir()
    for file in inputs.iterdir():
        image = np.fromfile(file, np.float32).reshape(1, 3, 16, 18)
        logits = session.run(None, {"input": image})[0]
        if as_text:  # as ais_bench: names end at their first dot, a blank behind every number
            text = "".join(f"{value:f} " for value in logits[0]) + "\n"
            (outputs / f"{file.name.partition('.')[0]}_0.txt").write_text(text)
        else:
            logits.tofile(outputs / f"{file.stem}_0.bin")
    if as_text:
        (outputs / "summary.json").write_text("{}")


@pytest.mark.parametrize("as_text", [False, True], ids=["bin", "txt"])
def test_the_chain_gives_the_accuracy_of_eval(network, tmp_path, command, as_text):
    code, out, err = command(
        preprocess_command.main, *settings(network, tmp_path), "--pretrained", network / "net.onnx", "--bin_dir",
        tmp_path / "bins",
    )  # fmt: skip
    assert code == 0 and "30 files of 3 x 16 x 18 float32" in out, err
    names = {path.name for path in (tmp_path / "bins").iterdir()}
    assert len(names) == 30 and {"a.bin", "j__same.bin", "v9.2.bin"} <= names
    meta = json.loads((tmp_path / "bins.meta.json").read_text())
    assert meta["files"]["j__same.bin"] == "j/same.jpg" and meta["preprocessing"]["resize"] == [18, 20]

    run_network(network / "net.onnx", tmp_path / "bins", tmp_path / "results", as_text)
    code, out, err = command(
        postprocess_command.main, "--result_dir", tmp_path / "results", "--data_dir", network / "val", "--pretrained",
        network / "net.onnx", "--result_json", tmp_path / "result.json",
    )  # fmt: skip
    assert code == 0, err
    assert command(
        eval_command.main, *settings(network, tmp_path), "--pretrained", network / "net.onnx", "--result_json",
        tmp_path / "eval.json",
    )[0] == 0  # fmt: skip
    expected = json.loads((tmp_path / "eval.json").read_text())
    assert 0 < expected["top1_correct"] < expected["top5_correct"] < 30  # else the test would show little
    top1, top5 = (round(expected[f"top{k}_correct"] / 30, 6) for k in (1, 5))
    assert f"Total data: 30, top1 accuracy: {top1}, top5 accuracy: {top5}." in out.splitlines()

    result = json.loads((tmp_path / "result.json").read_text())
    assert result["title"] == "Overall statistical evaluation" and result["problems"] == []
    value = {entry["key"]: entry["value"] for entry in result["value"]}
    assert list(value) == ["Number of images", "Number of classes", *(f"Top{k} accuracy" for k in range(1, 6))]
    assert (value["Number of images"], value["Number of classes"]) == ("30", "10")
    assert (value["Top1 accuracy"], value["Top5 accuracy"]) == (f"{expected['top1']:.2%}", f"{expected['top5']:.2%}")
    shares = [float(value[f"Top{k} accuracy"][:-1]) for k in range(1, 6)]
    assert shares == sorted(shares)
    classes = result["classes"]
    assert [entry["class"] for entry in classes] == list(CLASSES)
    assert all(entry["top1_correct"] + sum(entry["taken_for"].values()) == entry["images"] == 3 for entry in classes)
    assert sum(entry["top1_correct"] for entry in classes) == expected["top1_correct"]


def test_pixels_for_aipp(network, tmp_path, command, refused):
    preprocessing = preprocessing_from(build_config({"image_size": "16,18", "eval_resize": 20}))
    index = index_unlabeled(network / "val")
    ((pixels, _),) = read_batches(pixel_pipeline(index, preprocessing, 30, 1))
    om = tmp_path / "net.om"  # its description says what it takes
    om.write_text("om")
    image = input_of("yuv420sp", (16, 18))
    write_meta(om, ModelInfo(num_classes=10, class_names=(), preprocessing=preprocessing, input=image))
    for number, (model, form, expected) in enumerate(
        [(network / "net.ckpt", ["--aipp", "rgb"], pixels), (om, [], to_yuv420sp(pixels))]
    ):
        folder = tmp_path / f"bins{number}"
        code, _, err = command(
            preprocess_command.main, *settings(network, tmp_path), "--pretrained", model, *form, "--bin_dir", folder
        )
        assert code == 0, err
        for i, name in enumerate(json.loads((tmp_path / f"bins{number}.meta.json").read_text())["files"]):
            assert (folder / name).read_bytes() == expected[i].tobytes()
    line = refused(preprocess_command.main, *settings(network, tmp_path), "--pretrained", om, "--aipp", "none")
    assert "aipp: none was asked for, but" in line and "takes yuv420sp" in line


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--data_dir", ""], ["data_dir: no value"]),
        (["--data_dir", "gone"], ["data_dir: no such folder 'gone'"]),
        (["--pretrained", "gone.om"], ["pretrained: no such file 'gone.om'"]),
        (["--bin_dir", "."], ["bin_dir: '.' is there already"]),
        (["--aipp", "yuv420sp", "--image_size", "15,16"], ["even height and width"]),
    ],
)
def test_preprocess_refuses_in_one_line(network, tmp_path, refused, change, parts):
    line = refused(preprocess_command.main, *settings(network, tmp_path), *change)
    assert all(part in line for part in parts), line


def test_an_image_that_cannot_be_read_leaves_no_folder_behind(tmp_path, refused, command):
    write_image(tmp_path / "images" / "good.png", 0, 1)
    (tmp_path / "images" / "bad.jpg").write_bytes(b"broken")
    arguments = ["--data_dir", tmp_path / "images", "--bin_dir", tmp_path / "bins", "--image_size", "16,16",
                 "--cache_dir", tmp_path / "cache", "--platform", "CPU"]  # fmt: skip
    for scan in ("full", "off"):
        line = refused(preprocess_command.main, *arguments, "--scan", scan)
        assert "bad.jpg (is not an image)" in line
        assert {path.name for path in tmp_path.iterdir()} == {"images", "cache"}
    assert command(preprocess_command.main, *arguments, "--bad_images", "skip")[0] == 0
    assert [path.name for path in (tmp_path / "bins").iterdir()] == ["good.bin"]


@pytest.mark.parametrize("limit", [2048, 3000])  # of 3072 bytes: one that writing meets, one that closing does
def test_a_file_that_does_not_fit_leaves_no_folder_behind(tmp_path, limit):
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", 0, number)
    code = f"import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    code += "import preprocess; from src.errors import run_command; sys.exit(run_command(preprocess.main, sys.argv[1:]))"
    arguments = ["--data_dir", tmp_path / "images", "--bin_dir", tmp_path / "bins", "--image_size", "16,16",
                 "--cache_dir", tmp_path / "cache", "--platform", "CPU"]  # fmt: skip
    outcome = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    (line,) = outcome.stderr.splitlines()
    assert outcome.returncode == 2 and line.startswith(f"error: {tmp_path}/bins: cannot be written: File too large")
    assert {path.name for path in tmp_path.iterdir()} == {"images", "cache"}


def test_the_label_file_of_class_folders(network, tmp_path, command, refused):
    for name in ("cat", "dog", "empty"):
        (tmp_path / "val" / name).mkdir(parents=True)
    write_image(tmp_path / "val" / "cat" / "1.JPEG", 0, 1)
    write_image(tmp_path / "val" / "dog" / "2.JPEG", 0, 2)
    output = tmp_path / "imagenet_label.json"
    code, out, _ = command(label_command.main, "--img_path", tmp_path / "val", "--output", output)
    assert code == 0 and "2 images of 2 classes" in out
    assert json.loads(output.read_text()) == {"1.JPEG": 0, "2.JPEG": 1}
    (tmp_path / "names.txt").write_text("bird\ndog\ncat\n")
    command(label_command.main, "--img_path", tmp_path / "val", "--output", output, "--class_names", tmp_path / "names.txt")
    assert json.loads(output.read_text()) == {"1.JPEG": 2, "2.JPEG": 1}
    line = refused(label_command.main, "--img_path", network / "val", "--output", output)
    assert "9 images have the name of another one, first b/same.jpg that of a/same.jpg" in line
    assert "img_path" in refused(label_command.main)
