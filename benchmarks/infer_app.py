"""CPU time per image of the C++ program, of OpenVINO's benchmark_app and of Pillow with ONNX Runtime, in one run.

infer_images decodes, resizes and classifies JPEG files (500x375 pixels, about 50 KB); benchmark_app computes the same
network on data that is in memory already; a loop of Pillow and ONNX Runtime does in Python what infer_images does. Batch 1,
all cores. "int8" is the 8-bit file that `export.py --quantize int8` writes; ONNX Runtime has no bf16 on a CPU. As a limit,
numpy multiplies matrices with as many float32 multiply-adds as the network has. Each contender runs twice per round, on few
and on many images, and the difference counts: starting and compiling the network drop out. CPU time is user and system time
of all threads; other processes disturb it less than wall time.

Usage: python benchmarks/infer_app.py [--backbone NETWORK] [--images 200] [--rounds 3] [--output FILE]
  The network has random weights.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scan import draw_photo

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src.device import available_cores  # noqa: E402

FEW = 20  # images of the short run
APP, NETWORK, PYTHON, LIMIT = "infer_images", "benchmark_app", "Pillow + ONNX Runtime", "matrix products alone"
# src/device.py and MindSpore may have set it for themselves; the contenders must not inherit it.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}

SAVE = """
import sys
from pathlib import Path
from src.config import build_config
from src import device
config = build_config({"backbone": sys.argv[1], "platform": "CPU"})
device.prepare(config)
from src import checkpoint
from src.data.preprocessing import preprocessing_from
from src.model_info import ModelInfo
from src.models.create import create_model
info = ModelInfo(backbone=config.backbone, num_classes=1000, preprocessing=preprocessing_from(config))
checkpoint.save(create_model(config.backbone, 1000), Path(sys.argv[2]), info)
"""

LOOP = """
import json, sys
from pathlib import Path
import numpy as np
import onnxruntime
from src.data.pipeline import PillowCrop
from src.model_info import Preprocessing
model, folder = sys.argv[1:]
given = json.loads(Path(model + ".meta.json").read_text())["preprocessing"]
preprocessing = Preprocessing(**{**given, "antialias": True})
crop = PillowCrop(preprocessing)
mean, std = (np.array(x, np.float32) * 255 for x in (preprocessing.mean, preprocessing.std))
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
for path in sorted(Path(folder).iterdir()):
    pixels = crop(np.fromfile(path, np.uint8)).astype(np.float32)
    session.run(None, {"input": ((pixels - mean) / std).transpose(2, 0, 1)[None]})
"""

MATRICES = """
import sys
import numpy as np
rows, count = map(int, sys.argv[1:])
a, b = np.ones((rows, 1536), np.float32), np.ones((1536, 1536), np.float32)
for _ in range(count):
    a @ b
"""


def main() -> None:
    """Makes images and model, measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnext50_32x4d", help="network to export")
    parser.add_argument("--images", type=int, default=200, help="images of the long run")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median is reported")
    parser.add_argument("--precision", default="f32,bf16,int8", help="separated by commas")
    parser.add_argument("--output", default="", help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.images <= FEW:
        parser.error(f"--images must be more than {FEW}")
    check([["bash", ROOT / "scripts/build_infer.sh"]])
    precisions = arguments.precision.split(",")
    with tempfile.TemporaryDirectory() as folder:
        data = {count: make_images(Path(folder) / str(count), count) for count in (FEW, arguments.images)}
        models = export_random(arguments.backbone, Path(folder), data[FEW])
        contenders = {}
        for precision in precisions:
            model = models[precision == "int8"]
            computed_in = precision.replace("int8", "f32")  # what is not 8-bit
            contenders[precision, APP] = infer_images(model, data, computed_in, Path(folder) / "out")
            contenders[precision, NETWORK] = benchmark_app(model, computed_in)
            if precision != "bf16":
                contenders[precision, PYTHON] = python_loop(model, data)
            if precision == "f32":
                contenders[precision, LIMIT] = matrix_products(arguments.backbone)
        measured = {name: [] for name in contenders}
        for _ in range(arguments.rounds):
            for name, command in contenders.items():
                measured[name].append(measure(command, arguments.images))
    report(measured, arguments)


def export_random(backbone: str, folder: Path, images: Path) -> tuple:
    """Exports a network with random weights; returns its float32 and its 8-bit ONNX file."""
    checkpoint = folder / "random.ckpt"
    export = [sys.executable, "export.py", "--ckpt_file", checkpoint, "--file_format", "ONNX"]
    quantized = ["--quantize", "int8", "--calibration_dir", images]
    check([[sys.executable, "-c", SAVE, backbone, checkpoint], export, [*export, *quantized]])
    return checkpoint.with_suffix(".onnx"), folder / "random_int8.onnx"


def make_images(folder: Path, count: int) -> Path:
    """Writes `count` JPEG files."""
    folder.mkdir()
    for i in range(count):
        draw_photo(np.random.default_rng(i)).save(folder / f"{i:05}.jpg", quality=90)
    return folder


def infer_images(model: Path, data: dict, precision: str, output: Path):
    """The C++ program."""
    program = ROOT / "ascend310_infer/build/infer_images"
    flags = ["--model_path", model, "--precision", precision, "--output", output]
    return lambda count: [program, *flags, "--dataset_path", data[count]]


def benchmark_app(model: Path, precision: str):
    """OpenVINO's own measurement of the network alone, with the settings of infer_images."""
    start = "import sys; from openvino.tools.benchmark.main import main; sys.exit(main())"
    shape = json.loads(Path(f"{model}.meta.json").read_text())["input"]["shape"][1:]
    flags = ["-m", model, "-d", "CPU", "-hint", "throughput", "-shape", str([1, *shape]), "-infer_precision", precision]
    return lambda count: [sys.executable, "-c", start, *flags, "-niter", count]


def python_loop(model: Path, data: dict):
    """What one writes in Python: one image after the other, ONNX Runtime with its defaults."""
    return lambda count: [sys.executable, "-c", LOOP, model, data[count]]


def matrix_products(backbone: str):
    """The network's multiply-adds as one product of large matrices per image."""
    command = [sys.executable, "-m", "src.models", "--json", backbone]
    (network,) = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    rows = round(network["multiply_adds"] / 1536**2)
    return lambda count: [sys.executable, "-c", MATRICES, rows, count]


def check(commands: list) -> None:
    """Runs commands; ends the program with the output of one that fails."""
    for command in commands:
        words = [str(word) for word in command]
        result = subprocess.run(words, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        if result.returncode:
            sys.exit(f"{words[0]}: exit code {result.returncode}: {(result.stderr or result.stdout)[-1000:]}")


def measure(command, images: int) -> tuple:
    """CPU seconds and seconds per image: the long run minus the short one."""
    spent = []
    for count in (FEW, images):
        before, cpu_before = time.perf_counter(), children_cpu_seconds()
        check([command(count)])
        spent.append((children_cpu_seconds() - cpu_before, time.perf_counter() - before))
    return tuple((spent[1][i] - spent[0][i]) / (images - FEW) for i in (0, 1))


def children_cpu_seconds() -> float:
    """CPU time of the ended child processes."""
    times = os.times()
    return times.children_user + times.children_system


def report(measured: dict, arguments: argparse.Namespace) -> None:
    """Prints the medians and, where asked for, writes everything."""
    results = [
        {"precision": precision, "contender": contender, "rounds": rounds,
         "cpu_ms_per_image": 1000 * statistics.median(cpu for cpu, _ in rounds),
         "ms_per_image": 1000 * statistics.median(wall for _, wall in rounds)}
        for (precision, contender), rounds in measured.items()
    ]  # fmt: skip
    images = arguments.images - FEW
    print(f"{available_cores()} cores, load {os.getloadavg()[0]:.2f}; {images} images, median of {arguments.rounds}")
    print(f"{'':31}{'CPU-ms per image':>18}{'relative':>10}{'ms per image':>14}{'relative':>10}")
    first = results[0]
    for result in results:
        line = f"{result['precision']:6}{result['contender']:25}"
        for key, width in (("cpu_ms_per_image", 18), ("ms_per_image", 14)):
            line += f"{result[key]:{width}.1f}{result[key] / first[key]:10.2f}"
        print(line)
    if arguments.output:
        content = {**vars(arguments), "cores": available_cores(), "results": results}
        Path(arguments.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
