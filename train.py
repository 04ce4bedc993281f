"""Trains a network. `python train.py --help` lists every option."""

import sys

from src.errors import run_command


def main(arguments: list) -> int:
    """Configuration -> device -> training."""
    from src import device
    from src.config import load_config
    from src.launch import modelarts
    from src.log import start_log

    config = load_config(arguments, "train")
    start_log()
    platform = device.prepare(config)

    from src.training.start import train  # imports MindSpore, which `prepare` must precede

    with modelarts.copied(config) as config:
        train(config, platform)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
