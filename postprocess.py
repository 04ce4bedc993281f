"""Computes the accuracy of result files, without MindSpore. `python postprocess.py --help` lists every option."""

import sys

from src.commands import postprocess as main
from src.errors import run_command

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
