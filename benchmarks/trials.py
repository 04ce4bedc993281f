"""What imbalance.py, distillation.py and precision.py share: two small sets of real images, a training, a table."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
COMMON = {
    "platform": "CPU", "per_batch_size": 32, "warmup_epochs": 1, "ckpt_interval": 0, "ckpt_interval_epochs": 0,
    "report": 0,
}  # fmt: skip
# The keys of a training on each set of images.
RECIPES = {
    "digits": {"config_path": "configs/quickstart.yaml"},
    "photo crops": {
        "num_classes": 8, "backbone": "resnext11_8x16d", "image_size": "16,16", "eval_resize": 16, "crop_scale": "0.5,1.0",
        "color_jitter": 0.2, "lr": 0.1, "weight_decay": 0.0005,
    },
}  # fmt: skip
TILE, STRIPE = 32, 80  # pixels


def run(*arguments: object) -> None:
    """Runs a program of the repository; ends this one with its messages where it fails."""
    outcome = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False)
    if outcome.returncode:
        sys.exit(f"{arguments[0]}: exit code {outcome.returncode}\n{outcome.stderr[-2000:]}")


def write_images(name: str, folder: Path) -> None:
    """Writes one of the sets of images as folder/{train,val}/<class>/*.png."""
    if name == "digits":
        run("-m", "src.data.tools.digits", "--output", folder)
    else:
        write_photo_crops(folder)


def write_photo_crops(folder: Path) -> None:
    """Pieces of scikit-learn's two photographs; a class is a quarter of one, 96 pieces to train on and 96 others.

    The pieces overlap by half, but never across the edge of a stripe 80 pixels wide; every other stripe is for training.
    """
    from sklearn.datasets import load_sample_image

    for photo in ("china", "flower"):
        pixels = load_sample_image(f"{photo}.jpg")  # (427, 640, 3)
        height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
        for quarter in range(4):
            top, left = quarter // 2 * height, quarter % 2 * width
            for y in range(top, top + height - TILE + 1, TILE // 2):
                for x in range(left, left + width - TILE + 1, TILE // 2):
                    if x // STRIPE != (x + TILE - 1) // STRIPE:
                        continue
                    path = folder / ("train", "val")[x // STRIPE % 2] / f"{photo}{quarter}" / f"{y}_{x}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels[y : y + TILE, x : x + TILE]).save(path)


def train(folder: Path, keys: dict[str, object], epochs: int, figure: str = "top1") -> float:
    """Trains in folder/run; returns a figure of the last evaluation, which is of the last weights, in percent."""
    keys = {
        **COMMON, "ckpt_path": folder / "run", "cache_dir": folder / "cache", "max_epoch": epochs, "eval_interval": epochs,
        **keys,
    }  # fmt: skip
    run("train.py", *[word for key, value in keys.items() for word in (f"--{key}", value)])
    lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
    return 100 * [line[figure] for line in lines if line["event"] == "eval"][-1]


def collect(figures: dict[str, list[float]], trial: str, found: dict[str, float]) -> None:
    """Adds what a trial found to the figures of every way, and prints it."""
    for way, figure in found.items():
        figures.setdefault(way, []).append(figure)
    print(f"{trial}: {', '.join(f'{way} {figure:.2f}' for way, figure in found.items())}", flush=True)


def print_table(title: str, figures: dict[str, list[float]], pairs: dict[str, str]) -> None:
    """A line per way: mean over the seeds, lowest, highest; the mean gain per seed over the way that it is paired with."""
    print(f"| {title} | mean ± standard deviation | lowest | highest | gain per seed |\n| --- | ---: | ---: | ---: | ---: |")
    for way, values in figures.items():
        other = figures.get(pairs.get(way, ""))
        gain = spread([one - another for one, another in zip(values, other)], "+.2f") if other else ""
        print(f"| {way} | {spread(values, '.2f')} | {min(values):.2f} | {max(values):.2f} | {gain} |")


def spread(values: list[float], form: str) -> str:
    """Mean and standard deviation, of the sample; 0 of a single value."""
    return f"{statistics.mean(values):{form}} ± {statistics.stdev(values) if len(values) > 1 else 0:.2f}"
