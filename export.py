"""Exports a checkpoint as MINDIR, ONNX, AIR or OM. `python export.py --help` lists every option."""

import sys

from src.commands import export as main
from src.errors import run_command

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
