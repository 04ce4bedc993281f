"""Speed of the input pipeline: against torchvision's loader, stage by stage, and over a slow file system.

Makes JPEG files of the size of ImageNet's (500x375 pixels, about 50 KB) and lets each contender go through all of them, from
files to batches of 224x224 in NumPy arrays or tensors: training crops (random crop and flip), the same with color jitter,
evaluation crops. The contenders have the same number of threads or processes, a process each, and take turns. torchvision's
loader decodes and resizes with Pillow and normalizes, as its own training script does; "bytes" leaves that out, as we do.
Decoded pixels and crops differ in the last bits and in the filter (Pillow's shrinks without aliasing).

The slow file system is a pause before every file that is read, in the reading thread: latency without limit on how many wait
at the same time. Files were written just before, so that reading them from a disk is not part of it.

Usage: python benchmarks/input.py [--torch_python PYTHON-WITH-TORCHVISION] [--output FILE]; --help lists the rest.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS, OURS_FLOAT, TORCH, TORCH_BYTES = "this package", "this package, float32", "torchvision", "torchvision, bytes"
TASKS = ("crops", "crops, jitter", "evaluation")
STAGES = ("read", "read, decode", "read, crop", "read, crop, flip", "read, crop, flip, jitter", "crops, jitter")
SIZE, RESIZE, JITTER, BATCH = 224, 256, 0.4, 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def main() -> None:
    """Measures everything and prints and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1600)
    parser.add_argument("--workers", type=int, default=2, help="threads, or torchvision's processes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torchvision [this one]")
    parser.add_argument("--delays", default="0,3,20", help="milliseconds per file of the slow file systems")
    parser.add_argument("--readers", default="1,16,32", help="images read at once there")
    parser.add_argument("--output", default="", help="JSON file to write")
    parser.add_argument("--worker", nargs=2, metavar=("CONTENDER", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker, arguments.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), arguments.images)
        report = {"cores": os.cpu_count(), "load_before": os.getloadavg()[0], **vars(arguments)}
        print("{cores} cores, load {load_before:.2f}, {images} images, {workers} workers".format(**report))
        report["contenders"] = against_torchvision(Path(folder), arguments)
        ours = Worker(OURS, folder, arguments)
        report["stages"] = table("stage", {stage: {"stage": stage} for stage in STAGES}, ours, arguments.rounds)
        delays, readers = ([int(item) for item in text.split(",")] for text in (arguments.delays, arguments.readers))
        slow = {f"{ms} ms, {n} readers": {"task": "crops", "delay_ms": ms, "readers": n} for ms in delays for n in readers}
        report["slow"] = table("slow files", slow, ours, arguments.rounds)
        ours.end()
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def make_files(folder: Path, number: int) -> None:
    """Writes folder/<class>/<i>.jpg."""
    import numpy as np
    from scan import draw_photo

    for i in range(number):
        (folder / f"{i % 10}").mkdir(exist_ok=True)
        draw_photo(np.random.default_rng(i)).save(folder / f"{i % 10}" / f"{i}.jpg", quality=90)


def against_torchvision(folder: Path, arguments: argparse.Namespace) -> dict:
    """Task -> contender -> its turns, as `Worker.run` gives them; prints a table."""
    contenders = [OURS, OURS_FLOAT, TORCH, TORCH_BYTES]
    probe = subprocess.run([arguments.torch_python, "-c", "import torchvision"], capture_output=True, check=False)
    if probe.returncode:
        contenders = contenders[:2]
        print(f"torchvision is left out: {arguments.torch_python} cannot import it")
    workers = {contender: Worker(contender, str(folder), arguments) for contender in contenders}
    turns = {task: {contender: [] for contender in contenders} for task in TASKS}
    for number in range(arguments.rounds):
        for task in TASKS:
            for contender in contenders[number % len(contenders) :] + contenders[: number % len(contenders)]:
                turns[task][contender].append(workers[contender].run({"task": task}))
    for task, results in turns.items():
        print(f"\n{task:<36}{'img/s':>8}{'lowest - highest':>20}{'core-ms/img':>13}{'of torchvision':>16}")
        for contender, result in results.items():
            ratio = f"{speed(result) / speed(results[TORCH]):.2f}" if TORCH in results else ""
            print(f"  {contender + ' ' + workers[contender].version:<34}{row(result)}{ratio:>16}")
    for worker in workers.values():
        worker.end()
    return turns


def table(title: str, asked: dict, worker: "Worker", rounds: int) -> dict:
    """Name -> turns; prints them, and how each compares with the first."""
    turns = {name: [] for name in asked}
    for _ in range(rounds):
        for name, what in asked.items():
            turns[name].append(worker.run(what))
    print(f"\n{title:<36}{'img/s':>8}{'lowest - highest':>20}{'core-ms/img':>13}{'of the first':>16}")
    first = speed(next(iter(turns.values())))
    for name, result in turns.items():
        print(f"  {name:<34}{row(result)}{speed(result) / first:>16.2f}")
    return turns


def speed(turns: list) -> float:
    return statistics.median(turn["img_per_s"] for turn in turns)


def row(turns: list) -> str:
    rates = [turn["img_per_s"] for turn in turns]
    cores = statistics.median(turn["core_ms_per_image"] for turn in turns)
    return f"{speed(turns):>8.0f}{f'{min(rates):.0f} - {max(rates):.0f}':>20}{cores:>13.2f}"


class Worker:
    """A contender in its own process, which goes through all images as it is told and answers what that took."""

    def __init__(self, contender: str, folder: str, arguments: argparse.Namespace):
        python = arguments.torch_python if contender in (TORCH, TORCH_BYTES) else sys.executable
        command = [python, __file__, "--workers", str(arguments.workers), "--worker", contender, folder]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self._answer()["version"]

    def run(self, what: dict) -> dict:
        """`img_per_s` and `core_ms_per_image` of one pass."""
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """Lets the process end by itself."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries may print too
                return json.loads(line)
        raise RuntimeError(f"a worker ended with exit code {self.process.wait()}; its message stands above")


def work(contender: str, folder: str, workers: int) -> None:
    """What a worker process does: one pass for every line, until there are no more lines."""
    is_torch = contender in (TORCH, TORCH_BYTES)
    one_pass = (torch_loader if is_torch else our_pipeline)(folder, workers, "bytes" in contender or contender == OURS)
    one_pass({"task": TASKS[0]})  # imports, starts
    print(json.dumps({"version": version("torchvision" if is_torch else "mindspore")}), flush=True)
    for line in sys.stdin:
        what = json.loads(line)
        before, started = cpu_seconds(), time.perf_counter()
        images = one_pass(what)
        seconds, cpu = time.perf_counter() - started, cpu_seconds() - before
        print(json.dumps({"img_per_s": images / seconds, "core_ms_per_image": 1000 * cpu / images}), flush=True)


def cpu_seconds() -> float:
    """User and system time of this process and of its children, those that run included."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for children in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # threads and processes end meanwhile
            for child in children.read_text(encoding="ascii").split():
                fields = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime, stime of proc(5)
    return total


def our_pipeline(folder: str, workers: int, as_bytes: bool):
    """A function that goes through all images once, in the way that it is told, and returns their number."""
    sys.path.insert(0, str(ROOT))
    from mindspore.dataset import vision

    from src.config import build_config
    from src.data import pipeline
    from src.data.augmentation import image_operations
    from src.data.preprocessing import preprocessing_from
    from src.data.sources import folder as source

    index, read_file = source.index_folder(Path(folder)), source.read_file

    def rows(what: dict):
        values = {"color_jitter": JITTER * ("jitter" in what.get("task", what.get("stage"))), "per_batch_size": BATCH}
        config = build_config({**values, "image_size": f"{SIZE},{SIZE}", "device_normalization": int(as_bytes)})
        some = replace(index, reading=index.reading._replace(readers=what.get("readers", config.readers)))
        if "task" not in what and what["stage"] not in TASKS:
            order = pipeline.epoch_order(len(index), config.seed, 0)
            data = pipeline._rows(pipeline._Source(some, order, order))
            operations = image_operations(config, True)[: what["stage"].count(",")]
            operations = [vision.Decode()] if "decode" in what["stage"] else operations
            data = data.map(operations, "image", num_parallel_workers=workers) if operations else data
            return data, 1
        if what.get("task") == "evaluation":
            return pipeline.eval_pipeline(some, preprocessing_from(config), BATCH, workers, as_bytes), BATCH
        return pipeline.train_pipeline(some, config, 0, workers), BATCH

    def one_pass(what: dict) -> int:
        pause = what.get("delay_ms", 0) / 1000
        source.read_file = (lambda path: time.sleep(pause) or read_file(path)) if pause else read_file
        data, batch = rows(what)
        return sum(len(images) if batch > 1 else 1 for images, *_ in pipeline.read_batches(data))

    return one_pass


def torch_loader(folder: str, workers: int, as_bytes: bool):
    """The same with torchvision's ImageFolder and PyTorch's DataLoader, whose processes stay between passes."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(1)
    end = [transforms.PILToTensor()] if as_bytes else [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    crop = [transforms.RandomResizedCrop(SIZE), transforms.RandomHorizontalFlip()]
    operations = {
        "crops": crop,
        "crops, jitter": [*crop, transforms.ColorJitter(JITTER, JITTER, JITTER)],
        "evaluation": [transforms.Resize(RESIZE), transforms.CenterCrop(SIZE)],
    }
    loaders = {}

    def one_pass(what: dict) -> int:
        task = what["task"]
        if task not in loaders:
            data = ImageFolder(folder, transforms.Compose([*operations[task], *end]))
            train = task != "evaluation"
            loaders[task] = DataLoader(
                data, BATCH, shuffle=train, drop_last=train, num_workers=workers, persistent_workers=True
            )
            next(iter(loaders[task]))  # starts the processes
        return sum(len(images) for images, _ in loaders[task])

    return one_pass


if __name__ == "__main__":
    main()
