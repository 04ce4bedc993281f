"""What balanced sampling and class weights do for unbalanced classes: the digits, with nine classes cut to a share.

Per seed, the class that stays whole, the images that the others keep, the first weights and the order of images are drawn
anew; all ways train on the same images for the same number of steps, and are evaluated on the same validation images, of
which all classes have about equally many. Prints and writes the mean over classes of the recall, in percent.

    python benchmarks/imbalance.py --output imbalance.json
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
WAYS = {
    "as they are": [],
    "sampling balanced": ["--sampling", "balanced"],
    "class_weights balanced": ["--class_weights", "balanced"],
    "class_weights effective": ["--class_weights", "effective:0.999"],
    "focal_gamma 2": ["--focal_gamma", "2"],
}


def run(*arguments: object) -> None:
    """Runs a program of the repository; ends this one with its messages where it fails."""
    outcome = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    if outcome.returncode:
        sys.exit(f"{arguments[0]}: exit code {outcome.returncode}\n{outcome.stderr[-2000:]}")


def write_table(path: Path, digits: Path, share: float, seed: int) -> dict[str, int]:
    """Writes the list of images of one seed; returns class -> number of training images."""
    generator = np.random.default_rng(seed)
    classes = sorted(folder.name for folder in (digits / "train").iterdir())
    whole = classes[generator.integers(len(classes))]
    counts = {}
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "label", "split"))
        for name in classes:
            images = sorted((digits / "train" / name).iterdir())
            kept = images if name == whole else generator.choice(images, max(1, round(share * len(images))), replace=False)
            counts[name] = len(kept)
            table.writerows((image.relative_to(digits), name, "train") for image in kept)
            table.writerows((image.relative_to(digits), name, "val") for image in sorted((digits / "val" / name).iterdir()))
    return counts


def train(folder: Path, digits: Path, table: Path, seed: int, epochs: int, options: list[str]) -> float:
    """Trains one way; returns the mean recall of the last weights, in percent."""
    keys = {
        "config_path": "configs/quickstart.yaml", "data_dir": digits, "label_file": table, "ckpt_path": folder / "run",
        "cache_dir": folder / "cache", "seed": seed, "max_epoch": epochs, "eval_interval": epochs, "ckpt_interval_epochs": 0,
        "per_batch_size": 32, "warmup_epochs": 1, "platform": "CPU",
    }  # fmt: skip
    run("train.py", *[word for key, value in keys.items() for word in (f"--{key}", value)], *options)
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    return 100 * [line["macro_recall"] for line in lines if line["event"] == "eval"][-1]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.05, help="of their images that nine classes keep")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--ways", default=",".join(WAYS), help="names, separated by commas")
    parser.add_argument("--output", type=Path, help="file for the figures, as JSON")
    options = parser.parse_args()
    ways = options.ways.split(",")
    figures: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run("-m", "src.data.tools.digits", "--output", work / "digits")
        for seed in range(1, options.seeds + 1):
            counts = write_table(work / "table.csv", work / "digits", options.share, seed)
            for way in ways:
                folder = work / f"{seed}-{ways.index(way)}"
                figures[way].append(train(folder, work / "digits", work / "table.csv", seed, options.epochs, WAYS[way]))
            shown = ", ".join(f"{way} {figures[way][-1]:.2f}" for way in ways)
            print(f"seed {seed}, {min(counts.values())} to {max(counts.values())} images of a class: {shown}", flush=True)
    print(
        "| way | mean recall over classes, % | lowest | highest | standard deviation |\n| --- | ---: | ---: | ---: | ---: |"
    )
    for way, values in figures.items():
        deviation = statistics.stdev(values) if len(values) > 1 else 0.0
        print(f"| {way} | {statistics.mean(values):.2f} | {min(values):.2f} | {max(values):.2f} | {deviation:.2f} |")
    if options.output:
        content = {"share": options.share, "epochs": options.epochs, "macro_recall": figures}
        options.output.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
