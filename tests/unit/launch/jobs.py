"""Jobs of plain programs in the place of train.py: their text, and the fixtures that start them."""

import time
from pathlib import Path

import pytest
from launcher import job_from

from src.launch import supervisor

LAUNCHER = Path(__file__).with_name("launcher.py")
PROGRAM = """
import os, signal, subprocess, sys, time
from src.progress import beat
rank = int(os.environ["RANK_ID"])
beat()
print("rank", rank, "of", os.environ["RANK_SIZE"], "on device", os.environ["DEVICE_ID"])
def work(seconds, beats=True):
    for _ in range(int(seconds * 20)):
        time.sleep(0.05)
        beats and beat()
"""


SAVES_SLOWLY = """
def stop(*_):
    time.sleep(SECONDS)
    print("stopped by SIGTERM after step 7", file=sys.stderr)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
"""


@pytest.fixture(name="job")
def job_fixture(tmp_path):
    """Fields of a job without a scheduler, whose ranks run `PROGRAM` and then `body`."""

    def fields(body: str, ranks=(0, 1), **changes) -> dict:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM + body, encoding="utf-8")
        return {
            "program": [str(program)], "ranks": list(ranks), "group_size": len(ranks), "log_dir": str(tmp_path / "logs"),
            "rank_table": str(tmp_path / "unused.json"), "server": "here", "timeout": 20, **changes,
        }  # fmt: skip

    return fields


@pytest.fixture(name="launched")
def launched_fixture(job, capfd):
    """Runs a job in this process; returns exit code, seconds, stdout, stderr."""

    def run(body: str, **changes) -> tuple:
        started = time.monotonic()
        code = supervisor.run(job_from(job(body, **changes)))
        seconds = time.monotonic() - started
        output = capfd.readouterr()
        return code, seconds, output.out, output.err

    return run


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "took too long"
        time.sleep(0.05)
