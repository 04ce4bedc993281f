"""Writes images as .bin files for off-line inference. `python preprocess.py --help` lists every option."""

import sys

from src.commands import preprocess as main
from src.errors import run_command

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
