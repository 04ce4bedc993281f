"""`python -m src.cpu` builds the CPU kernels and says what they are; exit code 1 where this machine cannot have them."""

import sys

from ..errors import UserError, run_command
from .libraries import UnavailableError, build, find


def main(arguments: list[str]) -> int:
    """The command; takes no arguments."""
    if arguments:
        raise UserError(f"{arguments[0]}: unknown; python -m {__package__} takes no arguments")
    try:
        build()
        library = find()
    except UnavailableError as error:
        print(f"cpu_kernels: none here: {error}")
        return 1
    kinds = ", bfloat16" * library.has_bfloat16 + " by AMX" * library.has_amx
    print(f"cpu_kernels: {library.path}, blocks of {library.block} channels{kinds}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
