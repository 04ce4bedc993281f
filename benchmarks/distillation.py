"""What a teacher does for a smaller network: the digits and crops of photographs, with all images and with few.

Per set of images and seed the quickstart's network is trained on all of them and becomes the teacher of resnet20, which has
half its parameters. resnet20 is trained without and with it, on the same images, for the same number of steps. Prints and
writes the top-1 accuracy on the validation images, in percent.

    python benchmarks/distillation.py --output distillation.json
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

from trials import COMMON, RECIPES, collect, print_table, train, write_images

# What comparisons of distillation methods use for Hinton's: Tian et al. 2019, arXiv 1910.10699.
TAUGHT = {"temperature": 4, "distillation_weight": 0.9}


def epochs_of(images: int, steps: int) -> int:
    """The epochs that have about so many steps."""
    return math.ceil(steps / (images // COMMON["per_batch_size"]))


def measure(data: Path, folder: Path, keys: dict[str, object], per_class: list[int], steps: int) -> dict[str, float]:
    """Top-1 of the teacher and of the students of one seed."""
    images = len(list(data.glob("train/*/*.png")))
    figures = {"the teacher, all images": train(folder / "teacher", keys, epochs_of(images, steps))}
    taught = {**TAUGHT, "teacher": folder / "teacher/run/last.ckpt"}
    for number in per_class:
        epochs = epochs_of(number * keys["num_classes"] if number else images, steps)
        student = {**keys, "backbone": "resnet20", "images_per_class": number}
        name = f"{number} images per class" if number else "all images"
        for way, more in (("alone", {}), ("taught", taught)):
            figures[f"resnet20 {way}, {name}"] = train(folder / f"{way}{number}", {**student, **more}, epochs)
    return figures


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=",".join(RECIPES), help="names, separated by commas")
    parser.add_argument("--images", default="0,10", help="per class for the students, separated by commas; 0: all")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300, help="of every training")
    parser.add_argument("--output", type=Path, help="file for the figures, as JSON")
    options = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for data in options.data.split(","):
            write_images(data, work / data)
            keys = {"num_classes": 10, **RECIPES[data], "data_dir": work / data}
            for seed in range(1, options.seeds + 1):
                per_class = [int(number) for number in options.images.split(",")]
                found = measure(work / data, work / f"{data} {seed}", {**keys, "seed": seed}, per_class, options.steps)
                collect(figures.setdefault(data, {}), f"{data}, seed {seed}", found)
            pairs = {way: way.replace("taught", "alone") for way in figures[data] if "taught" in way}
            print_table(f"{data}: top-1, %", figures[data], pairs)
    if options.output:
        options.output.write_text(json.dumps({"steps": options.steps, "top1": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
