"""`python -m src.doctor`: is this machine fit to train here? Each line says ok, warning or problem, and what to do.

    python -m src.doctor [--rank_table FILE] [--master_port N] [--json] [--config_path RECIPE] [--key value ...]

Takes the keys of train.py, because memory, disk and data are judged by them; --pretrained may be any model file. Works
without MindSpore, and as far as possible without the other packages. The exit code is 1 where there is a problem.
"""

import json
import sys
from argparse import RawDescriptionHelpFormatter
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from ..errors import CommandParser, as_called_here, printable, run_command
from .examine import Subject, as_dict, examine
from .findings import OK, PROBLEM, WARNING, Finding
from .machine import Machine
from .ports import MASTER_PORT

if TYPE_CHECKING:
    from ..config import Config


def main(arguments: list[str], machine: Optional[Machine] = None) -> int:
    """The command. `machine`: what is examined instead of this one, for tests."""
    options, keys = _parser().parse_known_args(arguments)
    config, given = _configuration(keys)
    subject = Subject(machine or Machine(), config, given, options.rank_table, options.master_port)
    findings = []
    for finding in examine(subject):
        findings.append(finding)
        if not options.json:
            print(_line(finding), flush=True)
    if options.json:
        print(json.dumps(as_dict(findings), indent=2))
    else:
        counts = as_dict(findings)["counts"]
        print(f"problems: {counts[PROBLEM]}, warnings: {counts[WARNING]}, ok: {counts[OK]}")
    return int(any(finding.level == PROBLEM for finding in findings))


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m src.doctor", description=__doc__, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rank_table", type=Path, help="rank table to check against this server and its devices")
    parser.add_argument("--master_port", type=int, default=MASTER_PORT, help=f"port of a launch [{MASTER_PORT}]")
    parser.add_argument("--json", action="store_true", help="JSON instead of lines")
    return parser


def _configuration(keys: list[str]) -> tuple[Optional["Config"], dict[str, str]]:
    """The configuration that the keys describe, or None where a package that reads it is missing; and the keys as given.

    Raises:
        UserError: a key that there is not, or a value out of range.
    """
    texts = (word.removeprefix("--").partition("=") for word in keys)
    following = [*keys[1:], ""]
    given = {key: value if mark else after for (key, mark, value), after in zip(texts, following)}
    try:
        from ..config import load_config
    except ModuleNotFoundError:
        return None, given
    return load_config(keys, "train"), given


def _line(finding: Finding) -> str:
    cure = f"; {as_called_here(finding.cure)}" if finding.cure else ""
    return printable(f"{finding.level:<8} {finding.check}: {as_called_here(finding.text)}{cure}")


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
