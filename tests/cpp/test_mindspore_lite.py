"""The real MindSpore Lite 2.0.0 on the CPU: its converter, its runtime under our C++ backend, and eval.py through it.

AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer watch our part and every allocation; the library itself is not
built for them, and what it leaves unreleased is not counted. Nothing here says anything about Ascend.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import lite_package
import mindspore as ms
import numpy as np
import pytest
from mindspore.train.mind_ir_pb2 import ModelProto

import eval as evaluation
import export
from conftest import CLASSES, TINY, building, run_all
from src.commands import compare
from src.config import build_config
from src.formats.fold import prepare_for_inference
from src.formats.onnx import write_onnx
from src.formats.opening import load_classifier
from src.log import start_log
from src.model_info import ModelInfo, OnnxOrigin, Preprocessing, TensorInfo, write_meta
from src.models.layers import Layers
from src.models.resnet import BLOCKS, ResNet
from src.networks.spec import ResNetSpec

pytestmark = pytest.mark.exhaustive  # builds a third set of the C++ programs, which takes minutes

NETWORKS = {
    "basic": ResNetSpec("basic", (1, 1, 1, 1), "", width=16),
    "grouped": ResNetSpec("bottleneck", (1, 1, 1, 1), "", groups=8, base_width=4, width=16),
    "squeeze and excitation": ResNetSpec("bottleneck", (1, 1, 1, 1), "", groups=4, base_width=8, width=16, squeeze=True),
    "split attention": ResNetSpec(
        "split", (1, 1, 1, 1), "", stem="deep", stem_width=8, width=16, shortcut="pooled", radix=2
    ),
}
# The library leaves some kilobytes. Only the slow way of walking the stack tells that they are its own: one test goes it.
WITHOUT_LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}
WITH_LEAKS = {
    "ASAN_OPTIONS": "fast_unwind_on_malloc=0",
    "LSAN_OPTIONS": f"suppressions={Path(__file__).with_name('lite.supp')}:print_suppressions=0",
}


@pytest.fixture(scope="module")
def lite(sanitized_programs) -> Path:
    """The folder of the programs with the real MindSpore Lite; skips where it cannot be had."""
    if not lite_package.lite_home():
        pytest.skip(lite_package.reason())
    targets = ["lite_infer_images", "lite_infer_bin", "lite_infer_stream", "converter_lite"]
    with building(sanitized_programs):
        run_all([["cmake", "--build", sanitized_programs, "--target", *targets, "--parallel", "2"]])
    return sanitized_programs


def run(program: Path, *arguments, **variables) -> subprocess.CompletedProcess:
    command = [str(program), *map(str, arguments)]
    environment = {**os.environ, **WITHOUT_LEAKS, **variables}
    environment.pop("GLOG_v", None)  # src/device.py sets it for MindSpore's sake
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def through_lite(lite, monkeypatch):
    """Makes eval.py and export.py use the programs; returns the keys of both."""
    for name, value in WITHOUT_LEAKS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{lite}:{os.environ['PATH']}")
    return ["--infer_program", lite / "lite_infer_stream", "--platform", "CPU"]


@pytest.fixture(scope="module")
def mindir(lite, trained, tmp_path_factory) -> Path:
    """The trained network as export.py --converter_lite makes it. Not to be changed."""
    model = tmp_path_factory.mktemp("lite") / "net work.mindir"
    environment = pytest.MonkeyPatch()
    environment.setenv("PATH", f"{lite}:{os.environ['PATH']}")
    for name, value in WITHOUT_LEAKS.items():
        environment.setenv(name, value)
    arguments = ["--ckpt_file", trained["ckpt"], "--file_name", model, "--converter_lite", "run", *TINY]
    assert export.main([str(argument) for argument in arguments]) == 0
    environment.undo()
    return model


def network_of(kind: str) -> ms.nn.Cell:
    """A small network whose weights and statistics are no special values."""
    spec = NETWORKS[kind]
    network = ResNet(spec, 7, Layers(spec), BLOCKS).set_train(False)
    random = np.random.default_rng(3)
    for parameter in network.get_parameters():
        if parameter.ndim == 1:
            values = random.uniform(0.5, 1.5, parameter.shape)
            parameter.set_data(ms.Tensor(values.astype(np.float32)))
    return network


@pytest.mark.parametrize("kind", NETWORKS)
def test_logits_are_those_of_the_network(through_lite, lite, tmp_path, kind):
    network = network_of(kind)
    images = np.random.default_rng(5).standard_normal((11, 3, 64, 64), np.float32)
    expected = network(ms.Tensor(images)).asnumpy().copy()
    assert np.abs(expected - expected[0]).max() > 1e-2  # the images differ in their logits
    onnx, mindir = tmp_path / "net.onnx", tmp_path / "net.mindir"
    write_onnx(prepare_for_inference(network), (3, 64, 64), 0, onnx)
    converted = run(
        lite / "converter_lite", "--fmk=ONNX", f"--modelFile={onnx}", f"--outputFile={tmp_path}/net", "--saveType=MINDIR"
    )
    assert converted.returncode == 0, converted.stderr
    preprocessing = Preprocessing(
        image_size=(64, 64), resize=73, resize_mode="shorter", antialias=False, mean=(0.4,) * 3, std=(0.2,) * 3
    )
    info = ModelInfo(num_classes=7, class_names=(), preprocessing=preprocessing, onnx=OnnxOrigin(file="net.onnx"),
                     input=TensorInfo(shape=("N", 3, 64, 64)))  # fmt: skip
    write_meta(mindir, info)
    config = build_config({"platform": "CPU", "infer_program": str(lite / "lite_infer_stream"), "eval_batch_size": 8})
    classifier = load_classifier(mindir, config)
    for count in (1, 3, 8, 11):  # 11 images are a batch of 8 and one of 3
        found = classifier.classify(images[:count])
        np.testing.assert_allclose(found, expected[:count], atol=1e-5 * max(1, np.abs(expected).max()), rtol=0)


def test_counts_and_logits_on_a_folder(through_lite, lite, mindir, trained, tmp_path, command):
    data = trained["data"] / "val"
    counts = {}
    for model in (trained["ckpt"], mindir):
        code, _, err = command(
            evaluation.main, "--data_dir", data, "--pretrained", model, "--result_json", tmp_path / "eval.json",
            "--cache_dir", tmp_path / "cache", "--eval_batch_size", "8", *through_lite,
        )  # fmt: skip
        assert code == 0, err
        counts[model] = json.loads((tmp_path / "eval.json").read_text())
    for key in ("images", "top1_correct", "top5_correct"):
        assert counts[mindir][key] == counts[trained["ckpt"]][key]
    program = lite / "lite_infer_images"
    arguments = ["--model_path", mindir, "--dataset_path", data, "--output", tmp_path / "out", "--batch", 4]
    result = run(program, *arguments, **WITH_LEAKS)
    assert result.returncode == 0 and not result.stderr, result.stderr
    assert "MindSpore Lite, CPU, threads" in result.stdout
    line = f"Total data: {counts[mindir]['images']}, top1 accuracy: {counts[mindir]['top1']:.5f}"
    assert (tmp_path / "out/acc.log").read_text().startswith(line)
    files = list((tmp_path / "out/result_Files").iterdir())
    assert len(files) == counts[mindir]["images"] and all(path.stat().st_size == 4 * len(CLASSES) for path in files)


def test_compare_puts_it_beside_the_others(through_lite, mindir, trained, tmp_path, command):
    files = [trained["ckpt"], mindir.with_suffix(".onnx"), mindir]
    limits = ["--min_agreement", "1", "--max_difference", "1e-4", "--result_json", tmp_path / "compared.json"]
    data = ["--data_dir", trained["data"] / "val", "--cache_dir", tmp_path / "cache"]
    code, out, err = command(compare, *files, *data, *limits, *through_lite)
    assert code == 0 and "all put every image into the same class" in out, err
    rows = json.loads((tmp_path / "compared.json").read_text())["files"]
    assert rows[2]["file"] == str(mindir) and rows[2]["top1"] == rows[0]["top1"]
    assert 0 < rows[2]["max_abs_diff"] < 1e-4  # other arithmetic, the same network


def test_export_describes_what_it_made(mindir):
    meta = json.loads(Path(f"{mindir}.meta.json").read_text())
    assert (meta["file_format"], meta["onnx"]["file"]) == ("MINDIR", "net work.onnx")
    assert meta["input"]["shape"] == ["N", 3, 16, 16] and meta["onnx"]["max_abs_diff"] < 1e-3
    model = ModelProto()
    model.ParseFromString(mindir.read_bytes())
    assert model.mind_ir_version == 1 and os.access(mindir, os.W_OK)


def test_a_mindir_of_a_newer_mindspore_names_both_versions(lite, trained, tmp_path, command):
    model = tmp_path / "own.mindir"
    code, _, err = command(export.main, "--ckpt_file", trained["ckpt"], "--file_name", model, *TINY)
    assert code == 0, err
    result = run(lite / "lite_infer_images", "--model_path", model, "--dataset_path", trained["data"] / "val")
    version = ModelProto.FromString(model.read_bytes()).mind_ir_version
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    expected = (
        f"has MINDIR version {version}, written by MindSpore {ms.__version__}; this MindSpore Lite takes up to version 1. "
    )
    assert expected in result.stderr and "--converter_lite run" in result.stderr


def test_files_that_are_no_model_are_one_line(lite, mindir, tmp_path):
    inputs = tmp_path / "in"
    inputs.mkdir()
    (inputs / "a.bin").write_bytes(bytes(3 * 16 * 16 * 4))
    content, random = mindir.read_bytes(), np.random.default_rng(2)
    graph = ModelProto.FromString(content)
    del graph.graph.node[3]
    cases = {
        "text": b"hello", "empty": b"", "onnx": mindir.with_suffix(".onnx").read_bytes(), "short": content[:-100],
        "half": content[: len(content) // 2], "lacks a node": graph.SerializeToString(),
    }  # fmt: skip
    for number in range(6):
        changed = bytearray(content)
        for position in random.integers(0, 4000, 3):
            changed[position] = random.integers(256)
        cases[f"changed {number}"] = bytes(changed)
    outcomes = {}
    for name, case in cases.items():
        (tmp_path / "case.mindir").write_bytes(case)
        arguments = ["--model", tmp_path / "case.mindir", "--input", inputs, "--output", tmp_path, "--output_dirname", "r"]
        result = run(lite / "lite_infer_bin", *arguments)
        one_line = re.fullmatch(r"error: [^\n]+\n", result.stderr) is not None
        outcomes[name] = (result.returncode, result.stderr)
        assert (result.returncode in (1, 2) and one_line) or (name.startswith("changed") and result.returncode == 0), (
            name,
            result,
        )
    assert all(code for name, (code, _) in outcomes.items() if not name.startswith("changed")), outcomes


def test_devices_and_batches_that_do_not_fit_are_one_line(through_lite, lite, mindir, trained, tmp_path, refused):
    def refusal(*arguments, code: int = 2) -> str:
        result = run(lite / "lite_infer_images", "--dataset_path", trained["data"] / "val", "--model_path", *arguments)
        assert result.returncode == code and result.stderr.count("\n") == 1, result.stderr
        return result.stderr

    line = refusal(mindir, "--device", "ascend", code=1)
    assert "Model::Build: libgraph.so: cannot open shared object file" in line and "source CANN's set_env.sh first" in line
    model = Path(shutil.copy(mindir, tmp_path / "net.mindir"))
    meta = json.loads(Path(f"{mindir}.meta.json").read_text())
    meta["preprocessing"].update(image_size=[24, 24], resize=28)
    Path(f"{model}.meta.json").write_text(json.dumps(meta))
    assert "has the input height 16, but its .meta.json says 24" in refusal(model)
    data = ["--data_dir", trained["data"] / "val", "--cache_dir", tmp_path / "cache", "--pretrained"]
    assert "infer_program: no program" in refused(evaluation.main, *data, mindir, *through_lite[2:])
    assert "takes 16,16" in refused(evaluation.main, *data, mindir, *through_lite, "--image_size", "24,24")
    assert "needs MindSpore Lite, which was not found when this program was built" in refused(
        evaluation.main, *data, mindir, "--infer_program", without_lite(tmp_path), *through_lite[2:]
    )


def without_lite(folder: Path) -> Path:
    """A program that answers as one that was built without MindSpore Lite."""
    program = folder / "program"
    program.write_text(
        "#!/bin/sh\necho noise >&2\n"
        "echo \"error: --model_path: '$2' needs MindSpore Lite, which was not found when this program was built\" >&2\n"
        "exit 2\n"
    )
    program.chmod(0o755)
    start_log()
    return program
