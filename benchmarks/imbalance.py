"""What balanced sampling and class weights do for unbalanced classes: the digits, with nine classes cut to a share.

Per seed, the class that stays whole, the images that the others keep, the first weights and the order of images are drawn
anew; all ways train on the same images for the same number of steps, and are evaluated on the same validation images, of
which all classes have about equally many. Prints and writes the mean over classes of the recall, in percent.

    python benchmarks/imbalance.py --output imbalance.json
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
from trials import RECIPES, collect, print_table, train, write_images

WAYS = {
    "as they are": {},
    "sampling balanced": {"sampling": "balanced"},
    "class_weights balanced": {"class_weights": "balanced"},
    "class_weights effective": {"class_weights": "effective:0.999"},
    "focal_gamma 2": {"focal_gamma": 2},
}


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
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_images("digits", work / "digits")
        for seed in range(1, options.seeds + 1):
            counts = write_table(work / "table.csv", work / "digits", options.share, seed)
            keys = {**RECIPES["digits"], "data_dir": work / "digits", "label_file": work / "table.csv", "seed": seed}
            found = {
                way: train(work / f"{seed} {way}", {**keys, **WAYS[way]}, options.epochs, "macro_recall") for way in ways
            }
            collect(figures, f"seed {seed}, {min(counts.values())} to {max(counts.values())} images of a class", found)
    print_table("mean recall over classes, %", figures, dict.fromkeys(ways[1:], ways[0]))
    if options.output:
        content = {"share": options.share, "epochs": options.epochs, "macro_recall": figures}
        options.output.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
