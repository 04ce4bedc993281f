"""Trains a network. `python train.py --help` lists every option."""

import sys

from src.commands import train as main
from src.errors import run_command

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
