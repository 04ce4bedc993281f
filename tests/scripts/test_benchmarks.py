"""Every benchmark still runs, on as little as it takes; whether its figures are good is not tested."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT
from src.config import build_config
from src.cpu.choice import obstacle

SMALLEST = {
    "allreduce": ["--networks", "resnext11_8x16d", "--step_network", "resnet18", "--rounds", 1],
    "distillation": ["--data", "digits", "--images", 10, "--seeds", 1, "--steps", 5],
    "first_step": ["--network", "resnext11_8x16d", "--image_size", 16, "--rounds", 1],
    "imbalance": ["--seeds", 1, "--epochs", 1, "--ways", "sampling balanced"],
    "infer_app": ["--backbone", "resnext11_8x16d", "--images", 21, "--rounds", 1, "--precision", "f32"],
    "input": ["--images", 70, "--rounds", 1, "--delays", "0,1", "--readers", 2],
    "kills": ["--kills", 1, "--epochs", 1, "--per_batch_size", 64],
    "precision": ["--data", "photo crops", "--seeds", 1, "--epochs", 1, "--ways", "float32"],
    "report": ["--classes", 30, "--images", 300, "--lines", 20],
    "scaling": ["--network", "resnext11_8x16d", "--image_size", 16, "--ranks", "1,2", "--rounds", 1],
    "memory": ["--cases", "resnext11_8x16d:4", "--image_size", 32],
    "scan": ["--files", 20, "--copies", 1, "--repeats", 1],
    "serve": [
        "--backbone", "resnext11_8x16d", "--format", "ckpt", "--clients", "4", "--seconds", 0.2, "--rounds", 1, "--bad", 20,
    ],
    "startup": ["--sizes", 50],
    "suspects": ["--seeds", 1, "--epochs", 1],
    "train_throughput": ["--models", "resnext11_8x16d", "--image_size", 32, "--steps", 1, "--rounds", 1, "--retries", 0],
}  # fmt: skip


# They train or build for a minute and more, even so, or fail where the machine is busy.
LONG = ("allreduce", "distillation", "imbalance", "infer_app", "kills", "precision", "serve", "suspects")


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.exhaustive] * (n in LONG)) for n in SMALLEST])
def test_a_benchmark_runs_and_writes_its_figures(name, tmp_path):
    if name == "infer_app":
        pytest.importorskip("openvino")
    if name == "precision" and (reason := obstacle(build_config({"cpu_kernels": "blocked"}))):
        pytest.skip(reason)
    if name == "serve":
        pytest.importorskip("starlette")
    output = tmp_path / "figures.json"
    command = [sys.executable, ROOT / "benchmarks" / f"{name}.py", *SMALLEST[name], "--output", output]
    outcome = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert outcome.returncode == 0, outcome.stderr[-2000:]
    assert json.loads(output.read_text()) and outcome.stdout


def test_no_benchmark_is_left_out():
    # tests/unit/launch/test_attacked_job.py runs the first two, tests/scripts/test_infer_throughput.py the last one
    elsewhere = {"attackers", "faults", "infer_throughput"}
    parts = {"infer_runtimes", "train_contenders", "trials"}  # of others
    assert {path.stem for path in (ROOT / "benchmarks").glob("*.py")} == SMALLEST.keys() | elsewhere | parts
