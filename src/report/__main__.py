"""`resnet-zoo report RUN [RUN ...]`: the page of a run, or of several side by side."""

import sys
from pathlib import Path

from ..errors import CommandParser, run_command
from ..log import log, start_log
from .page import NAME, write_page
from .run_files import read_run


def main(arguments: list[str]) -> int:
    """Writes the page; needs no MindSpore and no images."""
    parser = CommandParser(prog="python -m src.report", description="Writes report.html, the page of a run.")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run (ckpt_path, eval_path)")
    parser.add_argument("--output", type=Path, help=f"file to write; default: {NAME} in the folder of the first run")
    options = parser.parse_args(arguments)
    start_log()
    output = options.output or options.runs[0] / NAME
    write_page([read_run(folder) for folder in options.runs], output)
    log.info("report: %s", output)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
