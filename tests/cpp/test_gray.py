"""Gray images from training to the C++ program, which sees what eval.py sees."""

import json
import subprocess

import numpy as np
import pytest
from programs import infer_fixture, logits_of  # noqa: F401

import eval as evaluation
import export
import preprocess
import train
from conftest import TINY, run_arguments
from src.data.pipeline import eval_pipeline, read_batches
from src.data.sources.lists import index_unlabeled
from src.formats.onnx import open_onnx
from src.model_info import describe

pytestmark = pytest.mark.slow
GRAY = {"in_channels": 1, "mean": 0.4, "std": 0.2}


@pytest.fixture(scope="module")
def gray(trained, tmp_path_factory):
    """A network for gray images, trained as `trained`, and its ONNX file."""
    from src.errors import run_command

    folder = tmp_path_factory.mktemp("gray")
    values = {"per_batch_size": 8, "max_epoch": 4, "ckpt_interval": 0, "eval_interval": 4, **GRAY}
    assert run_command(train.main, run_arguments(trained["data"], folder, **values)) == 0
    checkpoint, model = folder / "run/last.ckpt", folder / "gray.onnx"
    arguments = ["--ckpt_file", checkpoint, "--file_format", "ONNX", "--file_name", model, *TINY]
    assert run_command(export.main, [str(argument) for argument in arguments]) == 0
    return checkpoint, model


def test_the_export_takes_one_channel_and_evaluates_as_the_checkpoint(gray, trained, tmp_path, command):
    info = describe(gray[1])
    assert info.input.shape == ("N", 1, 16, 16) and info.preprocessing.mean == (0.4,) and info.max_abs_diff < 1e-4
    results = []
    for path in gray:
        result = tmp_path / "result.json"
        values = ["--pretrained", path, "--data_dir", trained["data"], "--result_json", result, "--cache_dir", tmp_path]
        code, _, err = command(evaluation.main, *values, "--platform", "CPU")
        assert code == 0, err
        results.append(json.loads(result.read_text()))
    assert [row["top1_correct"] for row in results[0]["classes"]] == [row["top1_correct"] for row in results[1]["classes"]]


def test_the_cpp_program_sees_what_eval_sees(gray, trained, infer, tmp_path):
    result = infer(gray[1], trained["data"] / "val")
    assert result.returncode == 0, result.stderr
    found = logits_of(tmp_path / "out")
    index = index_unlabeled(trained["data"] / "val")
    images = np.concatenate(
        [batch for batch, _ in read_batches(eval_pipeline(index, describe(gray[1]).preprocessing, 8, 2))]
    )
    assert images.shape == (33, 1, 16, 16)
    expected = open_onnx(gray[1])(images)
    names = [f"{name.rsplit('/', 1)[1].rsplit('.', 1)[0]}_0.bin" for name in index.files]
    np.testing.assert_allclose([found[name] for name in names], expected, atol=1e-4)


def test_a_model_for_color_with_a_description_for_gray_is_refused(exported, infer, trained, tmp_path):
    for name in ("network.onnx", "network.onnx.meta.json"):
        (tmp_path / name).write_bytes((exported.parent / name).read_bytes())
    meta = json.loads((tmp_path / "network.onnx.meta.json").read_text())
    meta["preprocessing"] |= {"mean": [0.4], "std": [0.2]}
    (tmp_path / "network.onnx.meta.json").write_text(json.dumps(meta))
    result = infer(tmp_path / "network.onnx", trained["data"] / "val")
    assert result.returncode == 2 and "has the input channels 3, but its .meta.json says 1" in result.stderr
    meta["preprocessing"]["std"] = [0.2, 0.2, 0.2]
    (tmp_path / "network.onnx.meta.json").write_text(json.dumps(meta))
    result = infer(tmp_path / "network.onnx", trained["data"] / "val")
    assert result.returncode == 2 and "std must be as many numbers as mean" in result.stderr


def test_bin_files_of_gray_images_go_through_infer_bin(gray, trained, infer_programs, tmp_path, command):
    inputs, output = tmp_path / "inputs", tmp_path / "results"
    values = ["--data_dir", trained["data"], "--pretrained", gray[1], "--bin_dir", inputs, "--cache_dir", tmp_path]
    code, out, err = command(preprocess.main, *values)
    assert code == 0 and "33 files of 1 x 16 x 16 float32, normalized gray" in out, err
    arguments = ["--model", gray[1], "--input", inputs, "--output", output, "--output_dirname", "gray", "--batchsize", 4]
    outcome = subprocess.run(
        [str(word) for word in (infer_programs / "infer_bin", *arguments)], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0 and len(list((output / "gray").glob("*_0.bin"))) == 33, outcome.stderr
