"""Writes images as .bin files for off-line inference. `python preprocess.py --help` lists every option."""

import sys

from src.errors import run_command


def main(arguments: list) -> int:
    """Configuration -> device -> files."""
    from src import device
    from src.config import load_config
    from src.log import start_log

    config = load_config(arguments, "preprocess")
    start_log()
    device.prepare(config)

    from src.offline.preprocess import preprocess  # imports MindSpore, which `prepare` must precede

    preprocess(config)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
