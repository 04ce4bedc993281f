"""Training on 1, 2 and 4 CPU ranks of this machine: images per second, and the share of a step that averaging takes.

Every rank has its share of the cores and a batch of the same size. In each round a step without averaging and one for each
size of buckets follow each other; the medians of the rounds are compared. Where there are fewer cores than ranks, these take
turns, and the share says what averaging and that cost together.

Usage: python benchmarks/scaling.py [--network resnet50] [--image_size 224] [--per_batch_size 8] [--ranks 1,2,4]
           [--buckets_mb 0,32] [--rounds 5] [--output FILE]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from allreduce import free_port  # noqa: E402

from src import device  # noqa: E402
from src.config import build_config  # noqa: E402
from src.cpu.choice import choose_kernels  # noqa: E402
from src.launch import supervisor  # noqa: E402
from src.launch.job import Job, LocalRank  # noqa: E402


def main() -> int:
    """Measures each number of ranks in a job of its own, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--image_size", type=int, default=224, help="height and width in pixels")
    parser.add_argument("--per_batch_size", type=int, default=8, help="images per step and rank")
    parser.add_argument("--ranks", default="1,2,4", help="numbers of ranks")
    parser.add_argument("--buckets_mb", default="0,32", help="MiB of gradients per collective; 0: each gradient by itself")
    parser.add_argument("--rounds", type=int, default=5, help="steps of each kind of which the median is reported")
    parser.add_argument("--output", default="", help="JSON file to write")
    arguments = parser.parse_args()
    load, results = os.getloadavg()[0], []
    for ranks in map(int, arguments.ranks.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            measured = Path(folder) / "measured.json"
            job = Job(
                program=(__file__, "--rank_of_benchmark", json.dumps(vars(arguments)), str(measured)),
                ranks=tuple(LocalRank(rank, rank, 0) for rank in range(ranks)), group_size=ranks,
                log_dir=Path(folder) / "logs", port=free_port(),
            )  # fmt: skip
            code = supervisor.run(job)
            if code:
                return code
            results.append({"ranks": ranks, **json.loads(measured.read_text(encoding="utf-8"))})
    print(f"{arguments.network}, {arguments.image_size} px, {arguments.per_batch_size} images per rank, "
          f"{device.available_cores()} cores, load before {load:.2f}")  # fmt: skip
    print("| ranks | MiB per bucket | ms/step | of it averaging % | img/s | times one rank |")
    print("|---|---|---|---|---|---|")
    one = results[0]["seconds"]["none"] * results[0]["ranks"]
    for result in results:
        alone = result["seconds"]["none"]
        for bucket, seconds in result["seconds"].items():
            if bucket == "none" and result["ranks"] > 1:
                continue
            speed = result["ranks"] * arguments.per_batch_size / seconds
            print(f"| {result['ranks']} | {bucket} | {1e3 * seconds:.0f} | {100 * max(0.0, 1 - alone / seconds):.1f} "
                  f"| {speed:.2f} | {result['ranks'] * one / seconds:.2f} |")  # fmt: skip
    if arguments.output:
        report = {**vars(arguments), "load": load, "results": results}
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(arguments: dict, output: Path) -> None:
    """One of the ranks; rank 0 writes the medians."""
    config = build_config({"platform": "CPU", "backbone": arguments["network"]})
    kernels = choose_kernels(config, "CPU")
    config = config.model_copy(update={"cpu_kernels": kernels})
    device.prepare(config, own_convolutions=kernels == "blocked")
    import mindspore as ms
    import numpy as np

    from src.distributed import communication
    from src.distributed.group import ALONE
    from src.progress import beat
    from src.training.build import create_network, create_step

    group = communication.start()
    size = arguments["image_size"]
    images = np.random.default_rng(group.rank).standard_normal((arguments["per_batch_size"], 3, size, size), np.float32)
    batch = ms.Tensor(images), ms.Tensor(np.arange(len(images), dtype=np.int32))
    steps = {"none": create_step(create_network(config), np.full(99, 0.01, np.float32), config, "CPU", ALONE).set_train()}
    for bucket in arguments["buckets_mb"].split(",") if group.size > 1 else []:
        bucketed = config.model_copy(update={"allreduce_fusion_mb": int(bucket)})
        steps[bucket] = create_step(
            create_network(config), np.full(99, 0.01, np.float32), bucketed, "CPU", group
        ).set_train()
    times: dict = {name: [] for name in steps}
    for _ in range(1 + arguments["rounds"]):
        for name, step in steps.items():
            communication.barrier(group)
            started = time.perf_counter()
            step(*batch)[0].asnumpy()
            communication.barrier(group)
            times[name].append(time.perf_counter() - started)
            beat()
    communication.barrier(group)
    if group.rank == 0:  # the first round was compiled
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        output.write_text(json.dumps({"seconds": medians}), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--rank_of_benchmark"]:
        measure(json.loads(sys.argv[2]), Path(sys.argv[3]))
    else:
        sys.exit(main())
