"""Exports a checkpoint as MINDIR, ONNX, AIR or OM. `python export.py --help` lists every option."""

import sys

from src.errors import run_command


def main(arguments: list) -> int:
    """Configuration -> device -> export."""
    from src import device
    from src.config import load_config
    from src.log import start_log

    config = load_config(arguments, "export")
    start_log()
    platform = device.prepare(config)

    from src.exporting.export import export  # imports MindSpore, which `prepare` must precede

    export(config, platform)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
