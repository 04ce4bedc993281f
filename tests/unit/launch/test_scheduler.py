"""Where MindSpore's scheduler and the ranks listen: a stranger has nothing else to talk to."""

import json
import socket
import subprocess
import sys

import psutil
import pytest
from jobs import LAUNCHER, wait_until
from launcher import free_port

PROGRAM = """
import sys, time
from pathlib import Path
import mindspore as ms
from mindspore import communication
from src.progress import beat
ms.set_device("CPU")
communication.init()
beat()
while not Path(sys.argv[1]).exists():
    time.sleep(0.1)
"""


def listening(pid):
    """The addresses and ports at which processes that a process has started listen."""
    return {
        (connection.laddr.ip, connection.laddr.port)
        for child in psutil.Process(pid).children(recursive=True)
        for connection in child.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.slow
def test_the_scheduler_listens_at_one_address_and_the_ranks_of_one_server_at_loopback(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    port, end = free_port(), tmp_path / "end"
    job = {
        "program": [str(tmp_path / "program.py"), str(end)], "ranks": [0, 1], "group_size": 2, "port": port,
        "log_dir": str(tmp_path / "logs"), "timeout": 90,
    }  # fmt: skip
    launcher = subprocess.Popen([sys.executable, LAUNCHER, json.dumps(job)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    beats = [tmp_path / "logs" / f"rank_{rank}.heartbeat" for rank in (0, 1)]
    try:
        wait_until(lambda: launcher.poll() is not None or all(path.exists() for path in beats), 90)
        found = listening(launcher.pid)
        assert ("127.0.0.1", port) in found and {address for address, _ in found} == {"127.0.0.1"}
        assert len(found) <= 3  # the scheduler and two ranks
        for address in ("127.0.0.2", *{a.address for all_of in psutil.net_if_addrs().values() for a in all_of
                                       if a.family == socket.AF_INET} - {"127.0.0.1"}):  # fmt: skip
            with pytest.raises(OSError), socket.create_connection((address, port), 2):
                pass
    finally:
        end.touch()
        assert launcher.wait(timeout=30) == 0
        launcher.communicate()
