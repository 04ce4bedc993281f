"""Cost of adding up the gradients: measured with 2 CPU ranks on loopback, calculated for Ascend 910 on 8 and 1,024 devices.

For each network one all-reduce of as many float32 numbers as it has weights; it is compared with a step, measured here at
batch 8 with --step_network (CPU) or published of ResNet-50 (Ascend), scaled by multiply-adds. Nothing was measured on
Ascend. Assumptions:

* Ascend 910: 30 GB/s for each HCCS link between devices of a server, 12.5 GB/s (100 Gb/s) RoCE for each device between
  servers (zhifeiding.github.io, "From 910 To Cloudmatrix", 2025-04-23, lists 3 x 30 GB/s HCCS and 2 x 12.5 GB/s HCCN ports;
  one of each is counted). --efficiency says which share of that HCCL reaches: no figure for the 910 was found.
* 8 devices: one ring. 1,024: reduce-scatter in each server, a ring over servers for each device's eighth, all-gather.
* Every transfer of a ring waits --latency_us; nothing is hidden behind the backward pass, so the share is an upper bound.
* Step: 2,170 images a second and device for ResNet-50 on Ascend 910 at batch 256 (MindSpore models repository, official
  ResNet README: 118 ms), 4.089 G multiply-adds each; --per_batch_size images per device. Networks that use the device less
  well take longer steps, which makes the share smaller.

Usage: python benchmarks/allreduce.py [--networks resnet50,...] [--step_network resnet50] [--rounds 5] [--output FILE]
"""

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src import device  # noqa: E402
from src.config import build_config  # noqa: E402
from src.launch import supervisor  # noqa: E402
from src.launch.job import Job, LocalRank  # noqa: E402
from src.networks.registry import list_models  # noqa: E402

HCCS_BYTES_PER_S = 30e9
ROCE_BYTES_PER_S = 12.5e9
PER_SERVER = 8
RESNET50_IMG_PER_S = 2170
CPU_BATCH = 8
NETWORKS = (
    "resnet18,resnet50,resnet101,resnet152,resnext50_32x4d,resnext101_64x4d,resnext152_64x4d,wide_resnet50_2,"
    "seresnext50_32x4d,resnest50d,resnest101e"
)


def main() -> int:
    """Measures in 2 ranks, calculates, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=NETWORKS, help="names, or all")
    parser.add_argument("--step_network", default="resnet50", help="whose step is measured")
    parser.add_argument("--rounds", type=int, default=5, help="all-reduces of which the median is reported")
    parser.add_argument("--per_batch_size", type=int, default=128, help="images per step and device on Ascend")
    parser.add_argument("--efficiency", type=float, default=0.7, help="share of the links' bandwidth that HCCL reaches")
    parser.add_argument("--latency_us", type=float, default=20.0, help="per transfer of a ring")
    parser.add_argument("--output", default="", help="JSON file to write")
    arguments = parser.parse_args()
    names = list_models() if arguments.networks == "all" else arguments.networks.split(",")
    with tempfile.TemporaryDirectory() as folder:
        measured = Path(folder) / "measured.json"
        job = Job(
            program=(
                __file__, "--rank_of_benchmark", ",".join(names), arguments.step_network, str(arguments.rounds),
                str(measured),
            ),
            ranks=(LocalRank(0, 0, 0), LocalRank(1, 1, 0)), group_size=2, log_dir=Path(folder) / "logs", port=free_port(),
        )  # fmt: skip
        load = os.getloadavg()[0]
        code = supervisor.run(job)
        if code:
            return code
        results = json.loads(measured.read_text(encoding="utf-8"))
    print(f"2 ranks on {device.available_cores()} cores, load before {load:.2f}; Ascend: batch {arguments.per_batch_size}")
    print("| network | gradients MB | CPU all-reduce s | of a CPU step % | 8 x 910 ms | % | 1,024 x 910 ms | % |")
    print("|---|---|---|---|---|---|---|---|")
    for result in results:
        calculate(result, arguments)
        print(
            f"| {result['network']} | {result['bytes'] / 1e6:.0f} "
            f"| {result['seconds']:.2f} | {100 * result['cpu_share']:.0f} | "
            f"{1e3 * result['seconds_8']:.1f} | {100 * result['share_8']:.1f} | "
            f"{1e3 * result['seconds_1024']:.1f} | {100 * result['share_1024']:.1f} |"
        )
    if arguments.output:
        report = {**vars(arguments), "load": load, "results": results}
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def calculate(result: dict, arguments) -> None:
    """Adds the calculated seconds and the shares of a step (all-reduce / (all-reduce + step))."""
    latency, size = arguments.latency_us * 1e-6, result["bytes"]
    hccs, roce = (arguments.efficiency * bandwidth for bandwidth in (HCCS_BYTES_PER_S, ROCE_BYTES_PER_S))
    result["seconds_8"] = ring_seconds(size, PER_SERVER, hccs, latency)
    result["seconds_1024"] = result["seconds_8"] + ring_seconds(size / PER_SERVER, 1024 // PER_SERVER, roce, latency)
    step = arguments.per_batch_size / RESNET50_IMG_PER_S * result["multiply_adds"] / result["resnet50_multiply_adds"]
    for count in (8, 1024):
        result[f"share_{count}"] = result[f"seconds_{count}"] / (result[f"seconds_{count}"] + step)
    result["cpu_share"] = result["seconds"] / (result["seconds"] + result["cpu_step_seconds"])


def ring_seconds(size: float, devices: int, bytes_per_s: float, latency: float) -> float:
    """A ring's reduce-scatter and all-gather: 2 (n - 1) transfers of size / n (Patarasuk and Yuan 2009, section 3)."""
    return 2 * (devices - 1) * (size / devices / bytes_per_s + latency)


def measure(names: list, step_network: str, rounds: int, output: Path) -> None:
    """One of the two ranks; rank 0 writes the results."""
    device.prepare(build_config({"platform": "CPU"}))
    import mindspore as ms
    import numpy as np
    from mindspore import nn, ops

    from src.distributed import communication
    from src.models.__main__ import describe
    from src.progress import beat
    from src.training.build import create_network, create_step

    class AllReduce(nn.Cell):
        """The sum over ranks."""

        def __init__(self):
            super().__init__()
            self.all_reduce = ops.AllReduce()

        def construct(self, x):
            return self.all_reduce(x)

    group = communication.start()
    resnet50, stepped = describe("resnet50"), describe(step_network)
    config = build_config({"platform": "CPU", "backbone": step_network, "device_normalization": 0})
    step = create_step(create_network(config), np.full(9, 0.1, np.float32), config, "CPU").set_train()
    images = ms.Tensor(np.ones((CPU_BATCH, 3, 224, 224), np.float32))
    labels = ms.Tensor(np.arange(CPU_BATCH, dtype=np.int32))
    step_seconds = median_seconds(lambda: float(step(images, labels)[0].asnumpy()), 3)  # both ranks at once, as in training
    beat()
    results = []
    for name in names:
        description = describe(name)
        gradients = ms.Tensor(np.full(description["parameters"], group.rank + 1, np.float32))
        cell = AllReduce()
        if float(cell(gradients).asnumpy()[-1]) != 3.0:
            raise RuntimeError(f"{name}: the sum of 1 and 2 is not 3")
        communication.barrier(group)
        seconds = median_seconds(lambda cell=cell, x=gradients: cell(x).asnumpy(), rounds)
        beat()
        multiply_adds = description["multiply_adds"]
        results.append({
            "network": name, "bytes": 4 * description["parameters"], "seconds": seconds, "multiply_adds": multiply_adds,
            "resnet50_multiply_adds": resnet50["multiply_adds"],
            "cpu_step_seconds": step_seconds * multiply_adds / stepped["multiply_adds"],
        })  # fmt: skip
    communication.barrier(group)
    if group.rank == 0:
        output.write_text(json.dumps(results), encoding="utf-8")


def median_seconds(run, rounds: int) -> float:
    """The median of `rounds` runs, after one that is not counted."""
    run()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank_of_benchmark"]:
        measure(sys.argv[2].split(","), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
    else:
        sys.exit(main())
