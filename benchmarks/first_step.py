"""Seconds of the first step of a run, which is compiled: without a kept graph, while one is kept, and with it.

Each run of train.py is a fresh process on made-up images that does one step; the kinds take turns.

Usage: python benchmarks/first_step.py [--network resnet50] [--image_size 64] [--per_batch_size 2] [--device_num 1]
           [--rounds 3] [--output FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measures and prints a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--image_size", type=int, default=64, help="height and width in pixels")
    parser.add_argument("--per_batch_size", type=int, default=2)
    parser.add_argument("--device_num", type=int, default=1, help="ranks of a run, on this machine's cores")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind of which the median is reported")
    parser.add_argument("--output", default="", help="JSON file to write")
    arguments = parser.parse_args()
    load, seconds = os.getloadavg()[0], {"none": [], "kept now": [], "kept before": []}
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            for kind, values in seconds.items():
                values.append(first_step(arguments, Path(folder), kind != "none"))
    none = statistics.median(seconds["none"])
    print(
        f"first step of {arguments.network}, {arguments.per_batch_size} x {arguments.image_size} px, "
        f"{arguments.device_num} ranks, load before {load:.2f}"
    )
    for kind, values in seconds.items():
        median = statistics.median(values)
        print(f"graph {kind:<12}{median:8.2f} s ({min(values):.2f} - {max(values):.2f}), {100 * median / none:.0f} %")
    if arguments.output:
        report = {**vars(arguments), "load": load, "seconds": seconds}
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def first_step(arguments, folder: Path, compile_cache: bool) -> float:
    """Seconds of the only step of a run."""
    batch = arguments.per_batch_size
    values = {
        "dataset": "synthetic", "synthetic_images": batch * arguments.device_num, "per_batch_size": batch,
        "image_size": f"{arguments.image_size},{arguments.image_size}", "backbone": arguments.network, "max_epoch": 1,
        "eval_interval": 0, "ckpt_interval": 0, "compile_cache": int(compile_cache), "cache_dir": folder / "cache",
        "ckpt_path": folder / "run", "platform": "CPU",
    }  # fmt: skip
    options = [text for key, value in values.items() for text in (f"--{key}", str(value))]
    command = ["train.py", *options]
    if arguments.device_num > 1:
        command = ["-m", "src.launch", *command, "--device_num", arguments.device_num, "--log_dir", folder / "logs"]
    command = [sys.executable, *command]
    outcome = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    if outcome.returncode:
        sys.exit(outcome.stderr)
    events = map(json.loads, (folder / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return next(event["step_seconds"] for event in events if event["event"] == "end")


if __name__ == "__main__":
    main()
