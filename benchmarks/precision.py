"""Whether bfloat16 on a CPU learns what float32 learns: the digits and crops of photographs.

Per seed both are trained by this package's blocked kernels, from the same first weights and with the same order of images.
Prints and writes the top-1 accuracy on the validation images, in percent. Needs a CPU with AVX512_BF16 or AMX.

    python benchmarks/precision.py --output precision.json
"""

import argparse
import json
import tempfile
from pathlib import Path

from trials import RECIPES, collect, print_table, train, write_images

WAYS = {"float32": {}, "bfloat16": {"amp_level": "O2", "amp_dtype": "bfloat16"}}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=",".join(RECIPES), help="names, separated by commas")
    parser.add_argument("--ways", default=",".join(WAYS), help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--output", type=Path, help="file for the figures, as JSON")
    options = parser.parse_args()
    figures: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for data in options.data.split(","):
            write_images(data, work / data)
            for seed in range(1, options.seeds + 1):
                keys = {**RECIPES[data], "data_dir": work / data, "cpu_kernels": "blocked", "seed": seed}
                found = {
                    way: train(work / f"{data} {seed} {way}", {**keys, **WAYS[way]}, options.epochs)
                    for way in options.ways.split(",")
                }
                collect(figures.setdefault(data, {}), f"{data}, seed {seed}", found)
            print_table(f"{data}: top-1, %", figures[data], {"bfloat16": "float32"})
    if options.output:
        options.output.write_text(json.dumps({"epochs": options.epochs, "top1": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
