"""CPU time per image of the C++ program, of OpenVINO's benchmark_app and of Pillow with ONNX Runtime, in one run.

infer_images decodes, resizes and classifies JPEG files (500x375 pixels, about 50 KB); benchmark_app computes the same
network on data that is in memory already; a loop of Pillow and ONNX Runtime does in Python what infer_images does. Batch 1,
all cores. Each contender runs twice per round, on few and on many images, and the difference counts: starting and compiling
the network drop out. CPU time is user and system time of all threads; other processes disturb it less than wall time.

Usage: python benchmarks/infer_app.py [--model FILE.onnx] [--images 200] [--rounds 3] [--output FILE]
  Without --model a network with random weights is exported (--backbone).
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
# src/device.py and MindSpore may have set it for themselves; the contenders must not inherit it.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}

EXPORT = """
import sys
from pathlib import Path
from src.config import build_config
from src import device
config = build_config({{"backbone": {backbone!r}, "platform": "CPU"}})
device.prepare(config)
from src import checkpoint
from src.data.preprocessing import preprocessing_from
from src.exporting.export import export
from src.models import create_model
path = Path({folder!r}) / "random.ckpt"
metadata = {{"backbone": config.backbone, "num_classes": 1000, "preprocessing": preprocessing_from(config).to_dict()}}
checkpoint.save(create_model(config.backbone, 1000), path, metadata)
export(build_config({{"ckpt_file": str(path), "file_format": "ONNX", "backbone": {backbone!r}}}), "CPU")
"""

LOOP = """
import json, sys
from pathlib import Path
import numpy as np
import onnxruntime
from src.data.pipeline import PillowCrop
from src.data.preprocessing import Preprocessing
model, folder = sys.argv[1:]
given = json.loads(Path(model + ".meta.json").read_text())["preprocessing"]
preprocessing = Preprocessing.from_dict({**given, "antialias": True})
crop = PillowCrop(preprocessing)
mean, std = (np.array(x, np.float32) * 255 for x in (preprocessing.mean, preprocessing.std))
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
for path in sorted(Path(folder).iterdir()):
    pixels = crop(np.fromfile(path, np.uint8)).astype(np.float32)
    session.run(None, {"input": ((pixels - mean) / std).transpose(2, 0, 1)[None]})
"""


def main() -> None:
    """Makes images and model, measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="", help="ONNX export with its .meta.json")
    parser.add_argument("--backbone", default="resnext50_32x4d", help="network to export when no model is given")
    parser.add_argument("--images", type=int, default=200, help="images of the long run")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of which the median is reported")
    parser.add_argument("--precision", default="f32,bf16", help="what infer_images and benchmark_app compute in")
    parser.add_argument("--output", default="", help="JSON file to write")
    arguments = parser.parse_args()
    if arguments.images <= FEW:
        parser.error(f"--images must be more than {FEW}")
    check([["bash", ROOT / "scripts/build_infer.sh"]])
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or export_random(arguments.backbone, Path(folder))
        data = {count: make_images(Path(folder) / str(count), count) for count in (FEW, arguments.images)}
        contenders = {}
        for precision in arguments.precision.split(","):
            contenders[f"infer_images {precision}"] = infer_images(model, data, precision, Path(folder) / "out")
            contenders[f"benchmark_app {precision}"] = benchmark_app(model, precision)
        contenders["Pillow + ONNX Runtime f32"] = lambda count: [sys.executable, "-c", LOOP, model, data[count]]
        measured = {name: [] for name in contenders}
        for _ in range(arguments.rounds):
            for name, command in contenders.items():
                measured[name].append(measure(command, arguments.images))
    report(measured, arguments)


def export_random(backbone: str, folder: Path) -> str:
    """Exports a network with random weights; in a process of its own, so that MindSpore's threads end with it."""
    check([[sys.executable, "-c", EXPORT.format(backbone=backbone, folder=str(folder))]])
    return str(folder / "random.onnx")


def make_images(folder: Path, count: int) -> Path:
    """Writes `count` JPEG files."""
    folder.mkdir()
    for i in range(count):
        draw_photo(np.random.default_rng(i)).save(folder / f"{i:05}.jpg", quality=90)
    return folder


def infer_images(model: str, data: dict, precision: str, output: Path):
    """The C++ program."""
    program = ROOT / "ascend310_infer/build/infer_images"
    flags = ["--model_path", model, "--precision", precision, "--output", output]
    return lambda count: [program, *flags, "--dataset_path", data[count]]


def benchmark_app(model: str, precision: str):
    """OpenVINO's own measurement of the network alone, with the settings of infer_images."""
    start = "import sys; from openvino.tools.benchmark.main import main; sys.exit(main())"
    shape = json.loads(Path(f"{model}.meta.json").read_text())["input"]["shape"][1:]
    flags = ["-m", model, "-d", "CPU", "-hint", "throughput", "-shape", str([1, *shape]), "-infer_precision", precision]
    return lambda count: [sys.executable, "-c", start, *flags, "-niter", count]


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
    results = {
        name: {"cpu_ms_per_image": 1000 * statistics.median(cpu for cpu, _ in rounds),
               "ms_per_image": 1000 * statistics.median(wall for _, wall in rounds),
               "rounds": rounds}
        for name, rounds in measured.items()
    }  # fmt: skip
    first = next(iter(results.values()))["cpu_ms_per_image"]
    images = arguments.images - FEW
    print(f"{available_cores()} cores, load {os.getloadavg()[0]:.2f}; {images} images, median of {arguments.rounds}")
    print(f"{'':28}{'CPU-ms per image':>18}{'relative':>10}{'ms per image':>14}")
    for name, result in results.items():
        cpu = result["cpu_ms_per_image"]
        print(f"{name:28}{cpu:18.1f}{cpu / first:10.2f}{result['ms_per_image']:14.1f}")
    if arguments.output:
        content = {**vars(arguments), "cores": available_cores(), "results": results}
        Path(arguments.output).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
