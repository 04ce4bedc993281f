"""Training throughput on the CPU: MindSpore with and without src/device.py's fast path, and PyTorch.

A step is forward, backward and momentum update in float32 on one batch that stays in memory. MindSpore runs the step and
the optimizer of train.py, PyTorch (eager) the network of the same name that the parity tests compare with. Every contender
runs in a process of its own, which compiles and warms up first. Then all of them take turns, so that a disturbance from
outside hits each one alike, and a turn during which other processes kept more than a tenth of a core busy is repeated.

Usage: python benchmarks/train_throughput.py [--models resnet50,resnext50_32x4d] [--output FILE]; --help lists the rest.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src.config import build_config  # noqa: E402
from src.device import available_cores, prepare  # noqa: E402

FAST, SLOW, NCHW, CHANNELS_LAST = "MindSpore", "MindSpore, no fast path", "PyTorch", "PyTorch, channels_last"
QUIET = 0.1  # cores
LEARNING_RATE = 0.01  # small enough for a loss that stays finite on one batch


def main() -> None:
    """Measures every network and prints and writes the results."""
    arguments = parse_arguments()
    if arguments.worker:
        work(arguments.worker, arguments.models, arguments.batch_size, arguments.image_size)
        return
    contenders = [FAST, SLOW, NCHW, CHANNELS_LAST]
    if not arguments.slow_rounds:
        contenders.remove(SLOW)
    missing = [module for module in ("torch", "torchvision") if not find_spec(module)]
    if missing:
        contenders = [contender for contender in contenders if contender in (FAST, SLOW)]
        print(f"PyTorch is left out: {' and '.join(missing)} not installed (benchmarks/requirements.txt)")
    settings = {key: value for key, value in vars(arguments).items() if key not in ("worker", "output")}
    report = {"cores": available_cores(), "load_before": os.getloadavg()[0], **settings, "results": {}}
    print(f"{report['cores']} cores, load {report['load_before']:.2f}, batch {arguments.batch_size}, "
          f"{arguments.image_size}x{arguments.image_size}, float32")  # fmt: skip
    for name in arguments.models.split(","):
        report["results"][name] = results = measure(name, contenders, arguments)
        print_results(name, results)
    if arguments.output:
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="resnet50,resnext50_32x4d", help="names, separated by commas")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--image_size", type=int, default=224, help="height and width in pixels")
    parser.add_argument("--steps", type=int, default=4, help="steps per contender and round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slow_rounds", type=int, default=1,
                        help="rounds, of one step each, of MindSpore without the fast path; 0 leaves it out")  # fmt: skip
    parser.add_argument("--retries", type=int, default=5, help="how often a disturbed turn is repeated at most")
    parser.add_argument("--output", default="", help="JSON file to write")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(name: str, contenders: list, arguments: argparse.Namespace) -> dict:
    """Contender -> its version and one entry per round in `img_per_s`, `cpu_seconds_per_step` and `cores_of_others`."""
    # One after the other, because compiling takes all cores.
    workers = {contender: Worker(contender, name, arguments) for contender in contenders}
    results = {
        contender: {"version": worker.version, "img_per_s": [], "cpu_seconds_per_step": [], "cores_of_others": []}
        for contender, worker in workers.items()
    }
    for number in range(arguments.rounds):
        order = contenders[number % len(contenders) :] + contenders[: number % len(contenders)]
        for contender in order:
            if contender == SLOW and number >= arguments.slow_rounds:
                continue
            steps, retries = (1, 0) if contender == SLOW else (arguments.steps, arguments.retries)  # SLOW: a minute per step
            turn = quietest_turn(workers[contender], steps, 1 + retries)
            results[contender]["img_per_s"].append(steps * arguments.batch_size / turn["seconds"])
            results[contender]["cpu_seconds_per_step"].append(turn["cpu_seconds"] / steps)
            results[contender]["cores_of_others"].append(turn["cores_of_others"])
    for worker in workers.values():
        worker.end()
    return results


def quietest_turn(worker: "Worker", steps: int, tries: int) -> dict:
    """The first turn that no other process disturbed, or the least disturbed one."""
    turns = []
    for _ in range(tries):
        turns.append(worker.run(steps))
        if turns[-1]["cores_of_others"] <= QUIET:
            break
    return min(turns, key=lambda turn: turn["cores_of_others"])


def print_results(name: str, results: dict) -> None:
    """A table of the contenders and how many times MindSpore's throughput is that of each other one."""
    print(f"\n{name:<38}{'img/s':>8}{'lowest - highest':>20}{'CPU s/step':>12}{'rounds':>8}{'disturbed':>11}")
    for contender, result in results.items():
        rates, cpu_seconds = result["img_per_s"], result["cpu_seconds_per_step"]
        disturbed = sum(cores > QUIET for cores in result["cores_of_others"])
        print(
            f"  {contender + ' ' + result['version']:<36}{statistics.median(rates):>8.3g}"
            f"{f'{min(rates):.3g} - {max(rates):.3g}':>20}{statistics.median(cpu_seconds):>12.3g}"
            f"{len(rates):>8}{disturbed:>11}"
        )
    fast = results[FAST]
    for contender, result in results.items():
        if contender != FAST:
            speed = statistics.median(fast["img_per_s"]) / statistics.median(result["img_per_s"])
            cpu = statistics.median(result["cpu_seconds_per_step"]) / statistics.median(fast["cpu_seconds_per_step"])
            print(f"  {FAST} / {contender}: {speed:.2f} by img/s, {cpu:.2f} by CPU seconds per image")


class Worker:
    """A contender in its own process, which does as many steps as it is told and answers what they took."""

    def __init__(self, contender: str, name: str, arguments: argparse.Namespace):
        environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
        if contender == SLOW:
            environment["ONEDNN_MAX_CPU_ISA"] = "DEFAULT"
        command = [
            sys.executable, __file__, "--worker", contender, "--models", name,
            "--batch_size", str(arguments.batch_size), "--image_size", str(arguments.image_size),
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.version = self._answer()["version"]

    def run(self, steps: int) -> dict:
        """What `steps` steps took: `seconds`, `cpu_seconds`; `cores_of_others`, the cores that other processes used."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self._answer()
        if not np.isfinite(answer["loss"]):
            raise RuntimeError(f"loss {answer['loss']}: numbers that are not finite may be faster or slower than others")
        return answer

    def end(self) -> None:
        """Lets the process end by itself."""
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries may print too
                return json.loads(line)
        raise RuntimeError(f"a worker ended with exit code {self.process.wait()}; its message stands above")


def work(contender: str, name: str, batch_size: int, image_size: int) -> None:
    """What a worker process does: warms up, then reads a number of steps per line until there are no more lines."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((batch_size, 3, image_size, image_size), np.float32)
    labels = generator.integers(0, 1000, batch_size)
    prepare_step = torch_step if contender in (NCHW, CHANNELS_LAST) else mindspore_step
    step, framework = prepare_step(name, images, labels, contender == CHANNELS_LAST)
    for _ in range(1 if contender == SLOW else 3):
        step()
    print(json.dumps({"version": version(framework)}), flush=True)
    for line in sys.stdin:
        before = clocks()
        for _ in range(int(line)):
            loss = step()
        seconds, own, machine = clocks() - before
        answer = {"seconds": seconds, "cpu_seconds": own, "cores_of_others": (machine - own) / seconds, "loss": loss}
        print(json.dumps(answer), flush=True)


def clocks() -> np.ndarray:
    """Seconds on the wall clock; CPU seconds, user and system, of this process's threads; those of the whole machine."""
    times = os.times()
    ticks = Path("/proc/stat").read_text(encoding="utf-8").split()[1:9]  # proc(5)
    machine = sum(int(ticks[i]) for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")  # neither idle nor waiting for disks
    return np.array([time.perf_counter(), times.user + times.system, machine])


def mindspore_step(name: str, images: np.ndarray, labels: np.ndarray, _: bool) -> tuple:
    """A function that does one step of train.py's kind and returns the loss, and the package's name."""
    config = build_config({"backbone": name, "platform": "CPU", "device_normalization": 0})
    prepare(config)
    import mindspore as ms

    from src.training.build import create_network, create_step

    step = create_step(create_network(config), np.full(10_000, LEARNING_RATE, np.float32), config, "CPU").set_train()
    inputs = ms.Tensor(images), ms.Tensor(labels.astype(np.int32))
    return lambda: float(step(*inputs)[0].asnumpy()), "mindspore"


def torch_step(name: str, images: np.ndarray, labels: np.ndarray, channels_last: bool) -> tuple:
    """The same step in PyTorch."""
    import torch

    sys.path.insert(0, str(ROOT / "tests" / "parity"))
    from make_reference import reference_network

    torch.set_num_threads(available_cores())
    config = build_config({"backbone": name})
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = reference_network(name).train().to(memory_format=layout)
    inputs, targets = torch.from_numpy(images).to(memory_format=layout), torch.from_numpy(labels)
    parameters = list(network.parameters())
    decayed, kept = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept}]
    optimizer = torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=config.momentum)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=config.label_smooth_factor)

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(network(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, "torch"


if __name__ == "__main__":
    main()
