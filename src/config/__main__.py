"""`python -m src.config` writes `default_config.yaml` from the keys in this package."""

import sys

from ..errors import run_command
from ..files import write_text
from .keys import DEFAULTS_FILE, default_yaml


def main(arguments: list[str]) -> int:
    """The command; takes no arguments."""
    write_text(DEFAULTS_FILE, default_yaml())
    print(f"wrote {DEFAULTS_FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
