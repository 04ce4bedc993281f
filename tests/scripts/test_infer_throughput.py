"""benchmarks/infer_throughput.py measures what it is given; whether the figures are good is not tested."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT


def run(*arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "infer_throughput.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_network_and_its_8_bit_form_on_every_runtime(tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "broken.onnx").write_text("broken")
    outcome = run(
        "--model", "resnext11_8x16d", "resnext11_8x16d:int8", tmp_path / "broken.onnx", "--batch_sizes", "1,2", "--dynamic",
        "--rounds", 2, "--images", 3, "--output", tmp_path / "o.json",
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    rows = json.loads((tmp_path / "o.json").read_text())["results"]
    forms = {(row["model"].removeprefix("resnext11_8x16d"), row["runtime"], row["shape"], row["batch_size"]) for row in rows}
    onnx = {(name, runtime, shape, batch) for name in (".onnx", "_int8.onnx") for runtime in ("openvino", "onnxruntime")
            for shape in ("static", "dynamic") for batch in (1, 2)}  # fmt: skip
    assert forms == onnx | {(".mindir", "mindspore", "dynamic", batch) for batch in (1, 2)}
    assert all(len(row["img_per_s"]) == len(row["cpu_ms_per_image"]) == 2 and min(row["img_per_s"]) > 0 for row in rows)
    assert "resnext11_8x16d_int8.onnx / resnext11_8x16d.onnx, openvino static, batch 2: " in outcome.stdout
    assert "broken.onnx, batch 1, static: left out: " in outcome.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model: no value"),
        (["--model", "gone.onnx"], "no such file 'gone.onnx'"),
        (["--model", "gone.onnx", "--runtimes", "torch"], "--runtimes: unknown torch"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    outcome = run(*arguments)
    assert outcome.returncode != 0 and message in outcome.stderr and "Traceback" not in outcome.stderr
