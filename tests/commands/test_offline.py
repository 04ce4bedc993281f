"""The off-line chain: images -> .bin -> a runner that is not ours -> result files -> accuracy."""

import json
import os
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


@pytest.fixture
def results(tmp_path):
    """Six results of four classes, all right, with labels in every form."""
    folder = tmp_path / "results"
    folder.mkdir()
    labels = {f"i{number}.JPEG": number % 4 for number in range(6)}
    for name, label in labels.items():
        (np.arange(4, dtype=np.float32) == label).astype(np.float32).tofile(folder / f"{name[:2]}_0.bin")
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "labels.txt").write_text("".join(f"{name} {label}\n" for name, label in labels.items()))
    return folder


def arguments(tmp_path, labels: str = "labels.json") -> list:
    return ["--result_dir", tmp_path / "results", "--label_file", tmp_path / labels, "--result_json", tmp_path / "r.json"]


@pytest.mark.parametrize("labels", ["labels.json", "labels.txt"])
def test_labels_as_json_and_as_text(results, tmp_path, command, labels):
    code, out, _ = command(postprocess_command.main, *arguments(tmp_path, labels))
    assert code == 0 and "Total data: 6, top1 accuracy: 1.0, top5 accuracy: 1.0." in out.splitlines()


def test_every_problem_is_named_and_counts_as_wrong(results, tmp_path, command):
    (results / "i0_0.bin").unlink()
    (results / "i1_0.bin").write_bytes(b"123")
    np.array([0, np.nan, 0, 0], np.float32).tofile(results / "i2_0.bin")
    (results / "other_0.bin").write_bytes(bytes(16))
    (results / "i3_1.bin").write_bytes(bytes(16))
    code, out, err = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 3 and "Total data: 6, top1 accuracy: 0.5, top5 accuracy: 0.5." in out.splitlines()
    lines = err.splitlines()
    assert lines[:5] == [
        "result missing: i0.JPEG has no i0_0.bin or i0_0.txt",
        f"result unusable: {results}/i1_0.bin holds 3 bytes; expected 16, 4 float32 numbers",
        f"result unusable: {results}/i2_0.bin holds NaN or Inf",
        f"result extra: {results}/i3_1.bin belongs to no image",
        f"result extra: {results}/other_0.bin belongs to no image",
    ]
    assert json.loads((tmp_path / "r.json").read_text())["problems"] == lines[:5]


def test_text_results_with_problems(results, tmp_path, command):
    for number in range(6):
        (results / f"i{number}_0.bin").unlink()
        (results / f"i{number}_0.txt").write_text(" ".join(str(float(c == number % 4)) for c in range(4)) + " \n")
    (results / "i0_0.txt").write_text("0.1 0.2\n")
    (results / "i1_0.txt").write_text("0.1 0.2 x 0.3\n")
    (results / "i2_0.txt").write_text("0.1 0.2 inf 0.3\n")
    code, out, err = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 3 and "top1 accuracy: 0.5" in out
    assert "i0_0.txt holds 2 numbers; expected 4" in err and "i2_0.txt holds NaN or Inf" in err
    assert "i1_0.txt could not convert string to float: 'x'" in err


def test_what_a_killed_run_was_writing_is_no_result(results, tmp_path, command):
    (results / ".77.i0_0.txt").write_text("0.1")
    code, out, _ = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 0 and "Total data: 6, top1 accuracy: 1.0" in out


def test_an_image_outside_the_class_folders_does_not_give_its_result_to_another(tmp_path, command):
    for name in ("a.png", "blue/a.png", "green/b.png"):
        write_image(tmp_path / "val" / name, 0, 1)
    (tmp_path / "results").mkdir()
    for name, label in {"a": 1, "blue__a": 0, "b": 1}.items():
        np.eye(2, dtype=np.float32)[label].tofile(tmp_path / "results" / f"{name}_0.bin")
    code, out, err = command(
        postprocess_command.main, "--result_dir", tmp_path / "results", "--data_dir", tmp_path / "val", "--result_json",
        tmp_path / "r.json",
    )  # fmt: skip
    assert code == 3 and "Total data: 2, top1 accuracy: 1.0" in out and "a_0.bin belongs to no image" in err


def test_names_that_are_not_utf8(tmp_path, command, refused):
    image = write_image(tmp_path / "val" / "odd" / "a.png", 0, 1)
    write_image(tmp_path / "val" / "other" / "b.png", 0, 1)
    image.rename(image.with_name(os.fsdecode(b"caf\xe9.png")))
    line = refused(label_command.main, "--img_path", tmp_path / "val", "--output", tmp_path / "labels.json")
    assert "'caf\\udce9.png' is not UTF-8" in line
    (tmp_path / "results").mkdir()
    np.eye(2, dtype=np.float32)[1].tofile(tmp_path / "results" / "b_0.bin")
    code, out, err = command(
        postprocess_command.main, "--result_dir", tmp_path / "results", "--data_dir", tmp_path / "val", "--result_json",
        tmp_path / "r.json",
    )  # fmt: skip
    assert code == 3 and "Total data: 2, top1 accuracy: 0.5" in out and json.loads((tmp_path / "r.json").read_text())


def test_names_with_dots_never_take_the_result_of_another_image(results, tmp_path, command, refused):
    (tmp_path / "labels.json").write_text('{"i0.JPEG": 0, "i0.b.JPEG": 0, "i1.b.JPEG": 1}')
    code, _, err = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 3 and "result missing: i0.b.JPEG has no i0.b_0.bin" in err and "i1" not in err
    (tmp_path / "labels.json").write_text('{"i0.a.JPEG": 0, "i0.b.JPEG": 0}')
    assert "i0_0.bin would be the result of 2 images" in refused(postprocess_command.main, *arguments(tmp_path))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--label_file", ""], ["label_file: no value", "--data_dir"]),
        (["--label_file", "gone.json"], ["label_file: cannot read 'gone.json'"]),
        (["--result_dir", "gone"], ["result_dir: no such folder 'gone'"]),
        (["--num_classes", 3], ["num_classes: i3.JPEG has label 3, but the network has 3 classes"]),
    ],
)
def test_postprocess_refuses_in_one_line(results, tmp_path, refused, change, parts):
    line = refused(postprocess_command.main, *arguments(tmp_path), *change)
    assert all(part in line for part in parts), line


def test_a_folder_that_is_not_the_one(results, tmp_path, refused):
    (results / "i0_0.txt").write_text("1 2 3 4")
    assert "holds 6 .bin and 1 .txt files" in refused(postprocess_command.main, *arguments(tmp_path))
    (results / "i0_0.txt").unlink()
    results.rename(tmp_path / "2026_01_01")
    results.mkdir()
    (tmp_path / "2026_01_01").rename(results / "2026_01_01")  # as ais_bench without --output_dirname
    line = refused(postprocess_command.main, *arguments(tmp_path))
    assert "no results" in line and f"--result_dir {results}/2026_01_01" in line
    (tmp_path / "labels.json").write_text('{"a.JPEG": 1.5}')
    line = refused(postprocess_command.main, *arguments(tmp_path), "--result_dir", results / "2026_01_01")
    assert "the label of 'a.JPEG' must be a class number" in line


def test_postprocess_runs_where_mindspore_is_not_installed(results, tmp_path):
    (tmp_path / "mindspore.py").write_text("raise ImportError('not here')")
    outcome = subprocess.run(
        [sys.executable, str(ROOT / "postprocess.py"), *map(str, arguments(tmp_path))], capture_output=True, text=True,
        check=False, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert outcome.returncode == 0 and "Total data: 6" in outcome.stdout, outcome.stderr


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
