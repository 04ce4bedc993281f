"""Precision and recall of `python -m src.evaluation.suspects` on digits with planted duplicates and wrong labels.

All 1,797 digits in one folder of class folders: 20 of them with a wrong label, and copies of 20 others added, half of them
as they are and half as JPEG files of another size. The network has seen nothing else: it is trained on that folder, wrong
labels included, by the recipe of the quickstart.

    python benchmarks/suspects.py [--seeds 3] [--epochs 12] [--output FILE]
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src.data.tools.digits import write_digits  # noqa: E402

PLANTED = 20


def plant(folder: Path, seed: int) -> tuple[set[str], set[frozenset[str]]]:
    """Writes the digits with what is to be found; the names of the wrongly labeled images, and pairs of copies."""
    parts = folder / "parts"
    write_digits(parts)
    data = folder / "data"
    for image in sorted(parts.rglob("*.png")):
        target = data / image.parent.name / image.name
        target.parent.mkdir(parents=True, exist_ok=True)
        image.rename(target)
    shutil.rmtree(parts)
    images = sorted(data.rglob("*.png"))
    random = np.random.default_rng(seed)
    chosen = [images[int(place)] for place in random.permutation(len(images))[: 2 * PLANTED]]
    wrong = set()
    for image in chosen[:PLANTED]:
        other = (int(image.parent.name) + int(random.integers(1, 10))) % 10
        wrong.add(str(image.rename(data / str(other) / image.name)))
    pairs = set()
    for place, image in enumerate(chosen[PLANTED:]):
        copy = image.with_name(f"copy{place}{'.png' if place % 2 else '.jpg'}")
        if place % 2:
            shutil.copy(image, copy)
        else:
            Image.open(image).resize((24, 24), Image.Resampling.BILINEAR).save(copy, quality=90)
        pairs.add(frozenset((str(image), str(copy))))
    return wrong, pairs


def run(*command: object) -> None:
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def measure(seed: int, epochs: int) -> dict[str, float]:
    """Counts of one planted folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wrong, pairs = plant(folder, seed)
        recipe = ("--config_path", "configs/quickstart.yaml", "--cache_dir", folder / "cache", "--data_dir", folder / "data")
        train = ("--ckpt_path", folder / "run", "--max_epoch", epochs, "--eval_interval", 0, "--seed", seed + 1)
        run("train.py", *recipe, *train)
        run("eval.py", *recipe, "--pretrained", folder / "run/last.ckpt", "--embeddings", folder / "all.npz")
        run("-m", "src.evaluation.suspects", folder / "all.npz", "--output", folder / "found.json")
        found = json.loads((folder / "found.json").read_text())
    labels = {one["image"] for one in found if one["kind"] == "label"}
    copies = {frozenset((one["image"], one["other"])) for one in found if one["kind"] == "duplicate"}
    return {
        "seed": seed,
        "labels_found": len(labels), "labels_right": len(labels & wrong), "labels_planted": len(wrong),
        "duplicates_found": len(copies), "duplicates_right": len(copies & pairs), "duplicates_planted": len(pairs),
    }  # fmt: skip


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="planted folders, each with a training of its own")
    parser.add_argument("--epochs", type=int, default=12, help="of each training; the recipe has 12")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    rows = [measure(seed, options.epochs) for seed in range(options.seeds)]
    print("| seed | wrong labels: precision | recall | duplicates: precision | recall |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        cells = [
            f"{row[f'{kind}_right']} of {row[f'{kind}_{whole}']}"
            for kind in ("labels", "duplicates")
            for whole in ("found", "planted")
        ]
        print(f"| {row['seed']} | {' | '.join(cells)} |")
    if options.output:
        options.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
