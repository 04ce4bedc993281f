"""Evaluates a checkpoint, an export or weights of PyTorch, or classifies single images; `--help` lists every option."""

import sys

from src.commands import evaluate as main
from src.errors import run_command

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
