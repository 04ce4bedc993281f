"""`python -m src.models` prints every network with its parameters and multiply-adds, computed from the network."""

import sys

from src import device
from src.config import build_config
from src.errors import run_command
from src.models.registry import create_model, find_model, list_models


def main(arguments: list) -> int:
    """The command; takes names of networks, or none for all. The CIFAR networks are counted with 10 classes."""
    device.prepare(build_config({"platform": "CPU"}))

    from src.models.complexity import count_multiply_adds, count_parameters

    print("| network | image | parameters | multiply-adds | defined in |")
    print("| --- | --- | ---: | ---: | --- |")
    for name in arguments or list_models():
        spec = find_model(name)
        network = create_model(name, 10 if spec.stem == "cifar" else 1000)
        multiply_adds = count_multiply_adds(network, (spec.image_size, spec.image_size))
        size = f"{spec.image_size} x {spec.image_size}"
        print(f"| `{name}` | {size} | {count_parameters(network):,} | {multiply_adds / 1e9:.3f} G | {spec.reference} |")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
