"""Writes imagenet_label.json, {"image name": class number}, of a folder of class folders."""

import sys

from src.commands import labels as main
from src.errors import run_command

if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
