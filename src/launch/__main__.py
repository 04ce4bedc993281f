"""`python -m src.launch train.py|eval.py [options] [--key value ...]`: one process per device of this server."""

import sys

from ..errors import run_command
from .command import main

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
