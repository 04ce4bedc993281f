"""Inference throughput on the CPU: exported files, run by OpenVINO, onnxruntime and MindSpore, at several batch sizes.

Every runtime has a process of its own, because the setting that makes MindSpore's convolutions fast (src/device.py) may slow
others down. For each batch size the models are compiled for just that shape; with --dynamic also once for any batch size.
Then the contenders of a batch size take turns, so that a disturbance from outside hits each one alike.

Usage: python benchmarks/infer_throughput.py --model FILE_OR_NETWORK [...] [--batch_sizes 1,4,8] [--dynamic] [--output FILE]

A model is an .onnx file (OpenVINO, onnxruntime), a .mindir file (MindSpore), the name of a network, which is exported to
both with random weights, or <name>:int8, its 8-bit ONNX file calibrated on noise: neither changes the speed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from infer_runtimes import load  # noqa: E402

from src.device import available_cores  # noqa: E402
from src.model_info import ModelInfo, TensorInfo, write_meta  # noqa: E402

RUNTIMES = {"openvino": ".onnx", "onnxruntime": ".onnx", "mindspore": ".mindir"}
QUIET = 0.1  # cores that other processes may use during an undisturbed turn


def main() -> None:
    """Measures every contender and prints and writes the results."""
    arguments = parse_arguments()
    if arguments.worker:
        work(arguments.worker, arguments.precision)
        return
    if arguments.export:
        export_network(arguments.model[0], Path(arguments.export))
        return
    runtimes = [name for name in arguments.runtimes.split(",") if available(name, arguments.precision)]
    report = {
        "cores": available_cores(),
        "cpu": cpu_name(),
        "load_before": os.getloadavg()[0],
        "precision": arguments.precision,
        "versions": {name: version(name) for name in runtimes},
        "results": [],
    }
    print(f"{report['cpu']}, {report['cores']} cores, load {report['load_before']:.2f}, {arguments.precision}, "
          + ", ".join(f"{name} {number}" for name, number in report["versions"].items()))  # fmt: skip
    print(f"{'model':<34}{'runtime':<13}{'shape':<9}{'batch':>6}{'img/s':>9}{'lowest - highest':>20}{'CPU ms/img':>12}"
          f"{'disturbed':>11}")  # fmt: skip
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        models = [path for model in arguments.model for path in files_of(model, folder)]
        workers = {name: stack.enter_context(Worker(name, arguments.precision)) for name in runtimes}
        for batch_size in map(int, arguments.batch_sizes.split(",")):
            rows = measure(models, workers, batch_size, arguments)
            report["results"] += rows
            print_rows(rows)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", required=False, default=[], help=".onnx, .mindir, <network> or <network>:int8")
    parser.add_argument("--batch_sizes", default="1,4,8,16,32,64", help="separated by commas")
    parser.add_argument("--dynamic", action="store_true", help="also compile each model once for any batch size")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="of what is not 8-bit (bf16: OpenVINO)")
    parser.add_argument("--runtimes", default=",".join(RUNTIMES), help="separated by commas")
    parser.add_argument("--images", type=int, default=64, help="images per turn, at least; rounded up to whole batches")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", default="", help="JSON file to write")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    parser.add_argument("--export", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.model and not arguments.worker:
        parser.error("--model: no value; pass a file or the name of a network")
    if unknown := set(arguments.runtimes.split(",")) - set(RUNTIMES):
        parser.error(f"--runtimes: unknown {', '.join(sorted(unknown))}; expected some of {', '.join(RUNTIMES)}")
    return arguments


def available(runtime: str, precision: str) -> bool:
    """Whether a runtime can take part; says why where it cannot."""
    if not find_spec(runtime):
        print(f"{runtime} is left out: not installed")
    elif precision == "bf16" and runtime != "openvino":
        print(f"{runtime} is left out: it computes in float32")
    else:
        return True
    return False


def files_of(model: str, folder: Path) -> list:
    """(what the table calls it, path) of every file that a model stands for."""
    if Path(model).suffix in RUNTIMES.values():
        if not Path(model).is_file():
            raise SystemExit(f"--model: no such file '{model}'")
        return [(Path(model).name, Path(model))]
    # In a process of its own: MindSpore's settings must not reach the runtimes.
    if subprocess.run([sys.executable, __file__, "--export", str(folder), "--model", model], check=False).returncode:
        raise SystemExit(f"--model: '{model}' is neither an .onnx or .mindir file nor <network> or <network>:int8")
    stem = model.replace(":", "_")
    return [(path.name, path) for path in (folder / f"{stem}.onnx", folder / f"{stem}.mindir") if path.exists()]


def export_network(model: str, folder: Path) -> None:
    """Writes the ONNX and the MINDIR file of a network, or the 8-bit ONNX file of <network>:int8."""
    from src.config import build_config
    from src.device import prepare

    name, _, form = model.partition(":")
    if form not in ("", "int8"):
        raise SystemExit(f"'{form}': unknown form of a network; expected int8")
    prepare(build_config({"backbone": name, "platform": "CPU"}))
    from src.data.preprocessing import preprocessing_from
    from src.formats.fold import prepare_for_inference
    from src.formats.mindir import write_mindir
    from src.formats.onnx import write_onnx
    from src.formats.quantize import quantize
    from src.models.create import create_model
    from src.networks.registry import find_model

    spec = find_model(name)
    shape = (3, spec.image_size, spec.image_size)
    network = prepare_for_inference(create_model(name, 1000).set_train(False))
    file = folder / f"{name}.onnx"
    write_onnx(network, shape, 0, file)
    if form == "int8":
        noise = np.random.default_rng(0).standard_normal((4, *shape), np.float32)
        quantize(file, folder / f"{name}_int8.onnx", [noise])
    else:
        write_mindir(network, shape, 0, file.with_suffix(".mindir"))
        described = preprocessing_from(build_config({"image_size": shape[1:]}))
        info = ModelInfo(num_classes=1000, class_names=(), preprocessing=described, input=TensorInfo(shape=("N", *shape)))
        write_meta(file.with_suffix(".mindir"), info)


def measure(models: list, workers: dict, batch_size: int, arguments: argparse.Namespace) -> list:
    """One row per contender: model, runtime, shape, batch size and, for every round, img/s, CPU ms and others' cores."""
    rows = []
    for label, path in models:
        for runtime, worker in workers.items():
            if path.suffix != RUNTIMES[runtime]:
                continue
            for shape in ("static", "dynamic") if arguments.dynamic and runtime != "mindspore" else ("static",):
                answer = worker.ask(load=str(path), batch_size=batch_size, shape=shape)
                if "refused" in answer:
                    print(f"{label}, batch {batch_size}, {shape}: left out: {answer['refused']}")
                    continue
                measured = {"img_per_s": [], "cpu_ms_per_image": [], "cores_of_others": []}
                rows.append({"model": label, "runtime": runtime, "batch_size": batch_size, **answer, **measured})
    batches = -(-arguments.images // batch_size)
    for number in range(arguments.rounds):
        for row in rows[number % len(rows) :] + rows[: number % len(rows)] if rows else []:
            turn = workers[row["runtime"]].ask(run=row["key"], batches=batches)
            images = batches * batch_size
            row["img_per_s"].append(images / turn["seconds"])
            row["cpu_ms_per_image"].append(1000 * turn["cpu_seconds"] / images)
            row["cores_of_others"].append(turn["cores_of_others"])
    for row in rows:
        key = row.pop("key")
        if row["shape"] == "static":
            workers[row["runtime"]].ask(drop=key)
    return rows


def print_rows(rows: list) -> None:
    """A line per contender, then how many times as fast each <name>_int8.onnx is as <name>.onnx on the same runtime."""
    for row in rows:
        rates = row["img_per_s"]
        disturbed = sum(cores > QUIET for cores in row["cores_of_others"])
        print(
            f"{row['model']:<34}{row['runtime']:<13}{row['shape']:<9}{row['batch_size']:>6}{statistics.median(rates):>9.4g}"
            f"{f'{min(rates):.4g} - {max(rates):.4g}':>20}{statistics.median(row['cpu_ms_per_image']):>12.3g}"
            f"{f'{disturbed} of {len(rates)}':>11}"
        )
    for row in rows:
        peers = [other for other in rows if (other["runtime"], other["shape"]) == (row["runtime"], row["shape"])]
        name = row["model"].replace("_int8.onnx", ".onnx")
        for peer in [other for other in peers if other["model"] == name != row["model"]]:
            rate = statistics.median(row["img_per_s"]) / statistics.median(peer["img_per_s"])
            cpu = statistics.median(peer["cpu_ms_per_image"]) / statistics.median(row["cpu_ms_per_image"])
            print(f"  {row['model']} / {peer['model']}, {row['runtime']} {row['shape']}, batch {row['batch_size']}: "
                  f"{rate:.2f} by img/s, {cpu:.2f} by CPU time")  # fmt: skip


def cpu_name() -> str:
    """The processor's name, and whether it multiplies 8-bit numbers by VNNI."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    vnni = [flag for flag in ("avx512_vnni", "avx_vnni") if flag in fields.get("flags", "").split()]
    return f"{fields.get('model name', 'CPU')} ({', '.join(vnni) or 'no VNNI'})"


class Worker:
    """A runtime in its own process, which answers a line of JSON with a line of JSON."""

    def __init__(self, runtime: str, precision: str):
        environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
        command = [sys.executable, __file__, "--worker", runtime, "--precision", precision]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, **question) -> dict:
        """Sends a question and waits for its answer."""
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries may print too
                return json.loads(line)
        raise SystemExit(f"a worker ended with exit code {self.process.wait()}; its message stands above")

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait()


def work(runtime: str, precision: str) -> None:
    """What a worker does: compiles, runs and drops models as it is told."""
    compiled: dict = {}
    for line in sys.stdin:
        question = json.loads(line)
        if "load" in question:
            answer = load(compiled, runtime, precision, Path(question["load"]), question["batch_size"], question["shape"])
        elif "run" in question:
            run, images = compiled[question["run"]]
            before = clocks()
            run(images, question["batches"])
            seconds, own, machine = clocks() - before
            answer = {"seconds": seconds, "cpu_seconds": own, "cores_of_others": (machine - own) / seconds}
        else:
            del compiled[question["drop"]]
            answer = {}
        print(json.dumps(answer), flush=True)


def clocks() -> np.ndarray:
    """Seconds on the wall clock; CPU seconds, user and system, of this process's threads; those of the whole machine."""
    ticks = Path("/proc/stat").read_text(encoding="utf-8").split()[1:9]  # proc(5)
    machine = sum(int(ticks[i]) for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")  # neither idle nor waiting for disks
    return np.array([time.perf_counter(), time.process_time(), machine])


if __name__ == "__main__":
    main()
