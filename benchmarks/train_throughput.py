"""Training throughput on the CPU, or `--evaluate`: of the forward pass; this package's kernels, MindSpore's and PyTorch.

A step is forward, backward and momentum update on one batch that stays in memory. MindSpore runs the step and the
optimizer of train.py (or what eval.py makes of a checkpoint), PyTorch (eager) the network of the same name that the parity
tests compare with. Every contender runs in a process of its own, which compiles and warms up first. Then all of them take
turns, so that a disturbance from outside hits each one alike, and a turn during which other processes kept more than a
tenth of a core busy is repeated.

Usage: python benchmarks/train_throughput.py [--models resnet50,resnext50_32x4d] [--output FILE]; --help lists the rest.
"""

import argparse
import json
import os
import resource
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

from train_contenders import CONTENDERS, classes_of, mindspore_step, torch_step  # noqa: E402

from src.config import build_config  # noqa: E402
from src.cpu.choice import obstacle  # noqa: E402
from src.device import available_cores  # noqa: E402

DEFAULT = "blocked,stock,slow,torch,torch_cl"
QUIET = 0.1  # cores


def main() -> None:
    """Measures every network and prints and writes the results."""
    arguments = parse_arguments()
    if arguments.worker:
        work(arguments.worker, arguments)
        return
    contenders = [
        key for key in arguments.contenders.split(",") if key != "slow" or arguments.slow_rounds and not arguments.evaluate
    ]
    if unknown := set(contenders) - set(CONTENDERS):
        sys.exit(f"--contenders: {unknown.pop()} is none of {', '.join(CONTENDERS)}")
    missing = [module for module in ("torch", "torchvision") if not find_spec(module)]
    if missing:
        contenders = [key for key in contenders if CONTENDERS[key].kernels]
        print(f"PyTorch is left out: {' and '.join(missing)} not installed (benchmarks/requirements.txt)")
    if reason := obstacle(build_config()):
        contenders = [key for key in contenders if CONTENDERS[key].kernels != "blocked"]
        print(f"the blocked kernels are left out: {reason}")
    settings = {key: value for key, value in vars(arguments).items() if key not in ("worker", "output")}
    report = {"cores": available_cores(), "load_before": os.getloadavg()[0], **settings, "results": {}}
    print(f"{report['cores']} cores, load {report['load_before']:.2f}, batch {arguments.batch_size}, "
          f"{arguments.image_size}x{arguments.image_size}, {'forward' if arguments.evaluate else 'training'}")  # fmt: skip
    report["gflops_of_matrix_products"] = limit = matrix_products()
    print(f"matrix products in float32: {limit:.0f} GFLOP/s")
    for name in arguments.models.split(","):
        report["results"][name] = results = measure(name, contenders, arguments)
        gflop = gflop_per_image(name, arguments.image_size, arguments.evaluate)
        print_results(name, results, gflop / limit)
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
    parser.add_argument("--contenders", default=DEFAULT, help=f"of {','.join(CONTENDERS)}; default {DEFAULT}")
    parser.add_argument(
        "--evaluate", action="store_true", help="the forward pass in evaluation mode instead of a training step"
    )
    parser.add_argument("--keys", default="", help="of MindSpore's configuration besides: ema_decay=0.999,optimizer=adamw")
    parser.add_argument("--slow_rounds", type=int, default=1,
                        help="rounds, of one step each, of MindSpore without the fast path; 0 leaves it out")  # fmt: skip
    parser.add_argument("--retries", type=int, default=5, help="how often a disturbed turn is repeated at most")
    parser.add_argument("--output", default="", help="JSON file to write")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(name: str, contenders: list, arguments: argparse.Namespace) -> dict:
    """Contender -> what it said of itself, and per round `img_per_s`, `cpu_seconds_per_step` and `cores_of_others`."""
    # One after the other, because compiling takes all cores.
    workers = {contender: Worker(contender, name, arguments) for contender in contenders}
    results = {
        contender: {**worker.start, "img_per_s": [], "cpu_seconds_per_step": [], "cores_of_others": []}
        for contender, worker in workers.items()
    }
    for number in range(arguments.rounds):
        order = contenders[number % len(contenders) :] + contenders[: number % len(contenders)]
        for contender in order:
            if contender == "slow" and number >= arguments.slow_rounds:
                continue
            steps, retries = (
                (1, 0) if contender == "slow" else (arguments.steps, arguments.retries)
            )  # slow: a minute per step
            turn = quietest_turn(workers[contender], steps, 1 + retries)
            results[contender]["img_per_s"].append(steps * arguments.batch_size / turn["seconds"])
            results[contender]["cpu_seconds_per_step"].append(turn["cpu_seconds"] / steps)
            results[contender]["cores_of_others"].append(turn["cores_of_others"])
    for contender, worker in workers.items():
        results[contender]["peak_mib"] = worker.end()
    return results


def quietest_turn(worker: "Worker", steps: int, tries: int) -> dict:
    """The first turn that no other process disturbed, or the least disturbed one."""
    turns = []
    for _ in range(tries):
        turns.append(worker.run(steps))
        if turns[-1]["cores_of_others"] <= QUIET:
            break
    return min(turns, key=lambda turn: turn["cores_of_others"])


def print_results(name: str, results: dict, limit_seconds: float) -> None:
    """A table of the contenders, and how many times the first one's throughput is that of each other one.

    Args:
        limit_seconds: what one image's products take at the rate of `matrix_products`.
    """
    print(
        f"\n{name:<34}{'img/s':>8}{'lowest - highest':>18}{'of limit':>9}{'CPU s/step':>11}{'first s':>8}"
        f"{'MiB':>7}{'rounds':>7}{'disturbed':>10}"
    )
    for contender, result in results.items():
        rates, cpu_seconds = result["img_per_s"], result["cpu_seconds_per_step"]
        rate = statistics.median(rates)
        disturbed = sum(cores > QUIET for cores in result["cores_of_others"])
        print(
            f"  {CONTENDERS[contender].name:<32}{rate:>8.3g}{f'{min(rates):.3g} - {max(rates):.3g}':>18}"
            f"{rate * limit_seconds:>9.2f}{statistics.median(cpu_seconds):>11.3g}"
            f"{result['first_seconds']:>8.1f}{result['peak_mib']:>7.0f}{len(rates):>7}{disturbed:>10}"
        )
    first, *others = results
    for other in others:
        speed = statistics.median(results[first]["img_per_s"]) / statistics.median(results[other]["img_per_s"])
        cpu = statistics.median(results[other]["cpu_seconds_per_step"]) / statistics.median(
            results[first]["cpu_seconds_per_step"]
        )
        print(f"  {first} / {other}: {speed:.2f} by img/s, {cpu:.2f} by CPU seconds per image")


def matrix_products() -> float:
    """What this machine multiplies and adds in float32 at best, in GFLOP/s: NumPy's products of matrices, on all cores."""
    a = np.random.default_rng(0).standard_normal((2048, 2048), np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(seconds) / 1e9


class Worker:
    """A contender in its own process, which does as many steps as it is told and answers what they took."""

    def __init__(self, contender: str, name: str, arguments: argparse.Namespace):
        environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
        if CONTENDERS[contender].instructions:
            environment["ONEDNN_MAX_CPU_ISA"] = CONTENDERS[contender].instructions
        command = [
            sys.executable, __file__, "--worker", contender, "--models", name,
            "--batch_size", str(arguments.batch_size), "--image_size", str(arguments.image_size),
            "--keys", arguments.keys, *["--evaluate"] * arguments.evaluate,
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.start = self._answer()

    def run(self, steps: int) -> dict:
        """What `steps` steps took: `seconds`, `cpu_seconds`; `cores_of_others`, the cores that other processes used."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        answer = self._answer()
        if not np.isfinite(answer["loss"]):
            raise RuntimeError(f"loss {answer['loss']}: numbers that are not finite may be faster or slower than others")
        return answer

    def end(self) -> float:
        """Lets the process end by itself; the most memory that it had, in MiB."""
        self.process.stdin.close()
        peak = self._answer()["peak_mib"]
        self.process.wait()
        return peak

    def _answer(self) -> dict:
        for line in self.process.stdout:
            if line.startswith("{"):  # libraries may print too
                return json.loads(line)
        raise RuntimeError(f"a worker ended with exit code {self.process.wait()}; its message stands above")


def work(key: str, arguments: argparse.Namespace) -> None:
    """What a worker process does: warms up, then reads a number of steps per line until there are no more lines."""
    contender, name, size = CONTENDERS[key], arguments.models, arguments.image_size
    generator = np.random.default_rng(0)
    images = generator.standard_normal((arguments.batch_size, 3, size, size), np.float32)
    labels = generator.integers(0, classes_of(name), arguments.batch_size)
    if contender.kernels:
        step, framework = mindspore_step(name, images, labels, contender, arguments.evaluate, arguments.keys)
    else:
        step, framework = torch_step(name, images, labels, contender, arguments.evaluate)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    for _ in range(0 if key == "slow" else 2):
        step()
    print(json.dumps({"version": version(framework), "first_seconds": first}), flush=True)
    for line in sys.stdin:
        before = clocks()
        for _ in range(int(line)):
            loss = step()
        seconds, own, machine = clocks() - before
        answer = {"seconds": seconds, "cpu_seconds": own, "cores_of_others": (machine - own) / seconds, "loss": loss}
        print(json.dumps(answer), flush=True)
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


def gflop_per_image(name: str, size: int, evaluate: bool) -> float:
    """Floating-point operations of the products of one step, counted in a process of its own."""
    code = f"""
from src import device
from src.config import build_config
device.prepare(build_config({{"platform": "CPU"}}))
from src.models.complexity import count_multiply_adds
from src.models.create import create_model
print(count_multiply_adds(create_model({name!r}), ({size}, {size})))
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return (2 if evaluate else 6) * int(run.stdout.split()[-1]) / 1e9  # forward, gradient by data, by weights


def clocks() -> np.ndarray:
    """Seconds on the wall clock; CPU seconds, user and system, of this process's threads; those of the whole machine."""
    times = os.times()
    ticks = Path("/proc/stat").read_text(encoding="utf-8").split()[1:9]  # proc(5)
    machine = sum(int(ticks[i]) for i in (0, 1, 2, 5, 6, 7)) / os.sysconf("SC_CLK_TCK")  # neither idle nor waiting for disks
    return np.array([time.perf_counter(), times.user + times.system, machine])


if __name__ == "__main__":
    main()
