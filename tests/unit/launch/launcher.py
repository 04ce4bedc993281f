"""Launchers for tests. `python launcher.py JSON` runs one as the command does, for another program."""

import json
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from src.errors import run_command  # noqa: E402
from src.launch import supervisor  # noqa: E402
from src.launch.job import Job, LocalRank  # noqa: E402


def job_from(fields: dict) -> Job:
    """A Job from JSON: `ranks` is a list of rank numbers."""
    ranks = tuple(LocalRank(rank, i, i) for i, rank in enumerate(fields.pop("ranks")))
    table = fields.pop("rank_table", None)
    return Job(
        program=tuple(fields.pop("program")), ranks=ranks, log_dir=Path(fields.pop("log_dir")),
        rank_table=Path(table) if table else None, secret=fields.pop("secret", "").encode(), **fields,
    )  # fmt: skip


def free_port() -> int:
    """A port whose successor is free too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


if __name__ == "__main__":
    sys.exit(run_command(lambda arguments: supervisor.run(job_from(json.loads(arguments[0]))), sys.argv[1:]))
