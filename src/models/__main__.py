"""`python -m src.models` prints every network with its parameters and multiply-adds, computed from the network.

    python -m src.models [--json] [NAME ...]

Without `--json` it is a Markdown table. The networks of 32 x 32 pixels are counted with 10 classes, the others with 1,000.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from .. import device
from ..config import build_config
from ..errors import CommandParser, run_command
from ..networks.published import find_accuracy
from ..networks.registry import ALIASES, canonical_name, find_model, list_models


def describe(name: str) -> dict[str, Any]:
    """A network's size, counts, published accuracy and reference; builds the network and runs it once."""
    from .complexity import count_multiply_adds, count_parameters
    from .create import create_model

    spec = find_model(name)
    network = create_model(name, 10 if spec.stem == "cifar" else 1000)
    accuracy = find_accuracy(name)
    return {
        "name": name,
        "image_size": [spec.image_size, spec.image_size],
        "parameters": count_parameters(network),
        "multiply_adds": count_multiply_adds(network, (spec.image_size, spec.image_size)),
        "top1": float(accuracy.top1) if accuracy else None,
        "top1_source": accuracy.source if accuracy else None,
        "reference": spec.reference,
        "aliases": [alias for alias, target in ALIASES.items() if target == name],
    }


def _markdown(names: list[str]) -> Iterator[str]:
    yield "| network | image | parameters | multiply-adds | top-1, % | defined in |"
    yield "| --- | --- | ---: | ---: | --- | --- |"
    for row in map(describe, names):
        accuracy = find_accuracy(row["name"])
        cells = [
            f"`{row['name']}`",
            " x ".join(map(str, row["image_size"])),
            f"{row['parameters']:,}",
            f"{row['multiply_adds'] / 1e9:.3f} G",
            f"{accuracy.top1} ({accuracy.source})" if accuracy else "-",
            row["reference"],
        ]
        yield f"| {' | '.join(cells)} |"


def main(arguments: list[str]) -> int:
    """The command; takes names of networks, or none for all."""
    parser = CommandParser(prog="python -m src.models", description="Prints networks with parameters and multiply-adds.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="network or alias; default: all networks")
    parser.add_argument("--json", action="store_true", help="a JSON list instead of a Markdown table")
    options = parser.parse_args(arguments)
    for name in options.names:
        find_model(name)
    names = [canonical_name(name) for name in options.names] or list_models()
    device.prepare(build_config({"platform": "CPU"}))
    if options.json:
        print(json.dumps([describe(name) for name in names], indent=2))
    else:
        for line in _markdown(names):
            print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
