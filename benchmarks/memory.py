"""Peak memory of training on the CPU against the doctor's estimate (src/doctor/device_memory.py).

Every case runs in a process of its own: two steps of train.py's training step (momentum, label smoothing) on one batch of
random images, with MindSpore's own kernels, which keep what those of a device keep. Measured is the largest resident memory
of that process, and how far it rose above what it was before the network was made; MindSpore 2.10 counts what its allocator
gives out on devices only.

Usage: python benchmarks/memory.py [--cases resnet50:8,resnet18:16:O2] [--image_size 224] [--output FILE]
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

CASES = (
    "resnet18:8,resnet18:32,resnet50:4,resnet50:12,resnext50_32x4d:4,resnext50_32x4d:12,"
    "resnet50d:12,seresnet50:4,seresnet50:12,resnest50d:4,resnest50d:8,resnest50d:16,resnet20:64,resnet20:256"
)


def main() -> None:
    """Measures every case and prints a row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", default=CASES, help=f"NETWORK:BATCH[:AMP_LEVEL],... [{CASES}]")
    parser.add_argument("--image_size", type=int, default=0, help="pixels a side; 0: the network's own [0]")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(measure(options.worker, options.image_size)))
        return
    print(f"{'network':<18} {'batch':>5} {'level':>5} {'grown':>10} {'peak':>10} {'estimate':>10}  MB  ratio")
    rows = []
    for case in options.cases.split(","):
        command = [sys.executable, __file__, "--worker", case, "--image_size", str(options.image_size)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{case}: {done.stderr[-2000:]}")
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        sizes = (f"{row[key] / 1e6:10.0f}" for key in ("grown", "peak", "estimate"))
        print(
            f"{row['network']:<18} {row['batch']:>5} {row['level']:>5}", *sizes, f"     {row['estimate'] / row['peak']:.2f}",
            flush=True,
        )  # fmt: skip
    if options.output:
        options.output.write_text(json.dumps(rows, indent=2) + "\n")


def measure(case: str, image_size: int) -> dict:
    """One case: bytes that were allocated, by which the process grew, and that the doctor expects."""
    from src.config import build_config
    from src.device import prepare
    from src.networks.registry import find_model

    name, batch, *level = case.split(":")
    spec = find_model(name)
    side = image_size or spec.image_size
    classes = 10 if spec.stem == "cifar" else 1000
    config = build_config(
        {
            "platform": "CPU", "backbone": name, "num_classes": classes, "per_batch_size": batch, "max_epoch": 1,
            "image_size": f"{side},{side}", "amp_level": level[0] if level else "O0", "warmup_epochs": 0,
            "cpu_kernels": "stock",
        }
    )  # fmt: skip
    prepare(config)
    import mindspore as ms

    from src.doctor.device_memory import training_bytes
    from src.doctor.resources import runtime_bytes
    from src.training.build import create_network, create_step

    images = ms.Tensor(np.random.default_rng(0).integers(0, 256, (int(batch), 3, side, side), np.uint8))
    labels = ms.Tensor(np.zeros(int(batch), np.int32))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    network = create_network(config)
    step = create_step(network, np.full(2, 0.01, np.float32), config, "CPU")
    step.set_train()
    for _ in range(2):
        step(images, labels)[0].asnumpy()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "network": name, "batch": int(batch), "level": config.amp_level, "image_size": side,
        "grown": (peak - before) * 1024, "peak": peak * 1024, "estimate": training_bytes(config) + runtime_bytes(config),
    }  # fmt: skip


if __name__ == "__main__":
    main()
