"""`compare`: files of one network side by side, and what another program wrote."""

import json
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

import export as export_command
from conftest import TINY
from src import checkpoint, library
from src.commands import compare
from src.errors import run_command
from src.weights.__main__ import main as weights_command


def save_changed(source: Path, target: Path, change) -> Path:
    """A copy of a checkpoint after `change(weights, info)`, which returns the description to write."""
    network, saved = library.create_model("resnext11_8x16d", 3), checkpoint.load(source)
    info = change(saved.weights, saved.info)
    checkpoint.load_into(network, saved)
    checkpoint.save(network, target, info)
    return target


@pytest.fixture(scope="module")
def files(trained, exported, tmp_path_factory) -> dict:
    """Kind -> file of the trained network; "other": with a classifier whose rows are exchanged in part."""
    folder = tmp_path_factory.mktemp("compared")
    made = {"ckpt": trained["ckpt"], "onnx": exported, "safetensors": folder / "net.safetensors"}
    arguments = [*TINY[:2], "--source", made["ckpt"], "--output", made["safetensors"]]
    assert run_command(weights_command, [str(word) for word in arguments]) == 0
    for name, more in (("net.mindir", ["MINDIR"]), ("int8.onnx", ["ONNX", "--quantize", "int8", "--calibration_dir"])):
        made[name] = folder / name
        calibration = [trained["data"] / "train"] if "int8" in name else []
        arguments = ["--ckpt_file", made["ckpt"], "--file_name", made[name], *TINY, "--file_format", *more, *calibration]
        assert run_command(export_command.main, [str(word) for word in arguments]) == 0

    def blue_becomes_red(weights, info):
        bias = weights["fc.bias"].asnumpy().copy()
        bias[2] += 2 + np.abs(bias).max()
        weights["fc.bias"] = ms.Parameter(ms.Tensor(bias), name="fc.bias")
        return info

    made["other"] = save_changed(made["ckpt"], folder / "other.ckpt", blue_becomes_red)
    return made


@pytest.fixture
def compared(trained, tmp_path, command):
    """Compares files on the validation images; returns exit code, output and the JSON file's content."""

    def run(*arguments) -> tuple:
        result = tmp_path / "result.json"
        code, out, err = command(
            compare, *arguments, "--data_dir", trained["data"] / "val", "--cache_dir", tmp_path / "cache",
            "--eval_batch_size", 7, "--result_json", result, "--platform", "CPU",
        )  # fmt: skip
        return code, out, err, json.loads(result.read_text()) if result.exists() else None

    return run


def test_every_format_of_one_network_agrees(files, compared):
    paths = [files[kind] for kind in ("ckpt", "onnx", "net.mindir", "safetensors", "int8.onnx")]
    code, out, err, result = compared(*paths, "--backbone", TINY[1], "--num_classes", 3, "--image_size", "16,16")
    assert code == 0, err
    assert result["images"] == 33 and [entry["file"] for entry in result["files"]] == [str(path) for path in paths]
    exact, eight_bits = result["files"][:4], result["files"][4]
    assert {(entry["same_top1"], entry["top1_correct"]) for entry in exact} == {(1.0, exact[0]["top1_correct"])}
    assert all(entry["max_abs_diff"] < 1e-5 for entry in exact) and exact[0]["max_abs_diff"] == 0
    assert eight_bits["max_abs_diff"] > eight_bits["mean_abs_diff"] > 1e-4
    rows = out.splitlines()
    assert rows[-7].split()[:2] == ["file", "top-1"] or "largest difference" in out
    assert f"{exact[0]['top1']:.2%}" in out


def test_what_is_counted_is_what_numpy_counts(files, trained, compared):
    code, out, _, result = compared(files["ckpt"], files["other"])
    images = sorted((trained["data"] / "val").rglob("*.*"))
    ours, others = (library.load(files[kind], platform="CPU").logits(images) for kind in ("ckpt", "other"))
    parted = ours.argmax(1) != others.argmax(1)
    assert code == 0 and parted.any() and not parted.all()
    found = result["files"][1]
    assert found["same_top1"] == pytest.approx(1 - parted.mean())
    assert found["max_abs_diff"] == pytest.approx(np.abs(ours - others).max(), rel=1e-5)
    assert found["mean_abs_diff"] == pytest.approx(np.abs(ours - others).mean(), rel=1e-5)
    names = {str(path.relative_to(trained["data"] / "val")) for path, differs in zip(images, parted) if differs}
    assert {entry["image"] for entry in result["parted"]} == names
    assert all(
        entry["classes"][1] == "red" and entry["label"] == Path(entry["image"]).parts[0] for entry in result["parted"]
    )
    assert f"images that they part on: {len(names)}" in out and out.count("(label ") == min(10, len(names))


def test_the_exit_code_says_whether_the_limits_are_kept(files, compared):
    limits = ("--min_agreement", 0.99, "--max_difference", 0.5)
    assert compared(files["ckpt"], files["onnx"], *limits)[0] == 0
    code, _, err, result = compared(files["ckpt"], files["other"], *limits)
    assert code == 1 and "min_agreement is 0.99" in err and "max_difference is 0.5" in err
    assert len(result["beyond"]) == 2 and all(str(files["other"]) in line for line in result["beyond"])


def test_results_of_another_program_are_a_side_too(files, trained, compared, tmp_path):
    images = sorted((trained["data"] / "val").rglob("*.*"))
    results = tmp_path / "result_Files"
    results.mkdir()
    for path, row in zip(images, library.load(files["ckpt"], platform="CPU").logits(images)):
        row.astype("<f4").tofile(results / f"{path.stem}_0.bin")
    code, _, err, result = compared(files["ckpt"], results)
    assert code == 0, err
    assert result["files"][1]["same_top1"] == 1 and result["files"][1]["max_abs_diff"] < 1e-5
    (results / f"{images[0].stem}_0.bin").unlink()
    code, _, err, _ = compared(files["ckpt"], results)
    assert code == 2 and f"has no result of 1 images ({images[0].stem})" in err


def test_other_classes_and_a_single_file_are_refused(files, trained, compared, tmp_path):
    def turned(weights, info):
        return info.model_copy(update={"class_names": info.class_names[::-1]})

    other_order = save_changed(files["ckpt"], tmp_path / "turned.ckpt", turned)
    code, _, err, _ = compared(files["ckpt"], other_order)
    assert code == 2 and "have other names or another order" in err
    results = tmp_path / "four"
    results.mkdir()
    np.zeros(4, "<f4").tofile(results / "x_0.bin")
    code, _, err, _ = compared(files["ckpt"], results)
    assert code == 2 and "3 classes" in err and "not one network" in err
    code, _, err, _ = compared(files["ckpt"])
    assert code == 2 and "needs two files or more" in err


def test_another_preprocessing_is_said(files, compared, tmp_path):
    def smaller(weights, info):
        preprocessing = info.preprocessing.model_copy(update={"mean": (0.5, 0.5, 0.5)})
        return info.model_copy(update={"preprocessing": preprocessing})

    changed = save_changed(files["ckpt"], tmp_path / "mean.ckpt", smaller)
    code, _, err, _ = compared(files["ckpt"], files["onnx"], changed)
    assert code == 0 and f"{changed}: prepares its images otherwise" in err and str(files["onnx"]) not in err
