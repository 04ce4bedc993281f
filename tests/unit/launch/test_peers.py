"""Launchers of several servers end, restart and refuse together: plain programs, all on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from jobs import LAUNCHER, SAVES_SLOWLY, job_fixture, wait_until  # noqa: F401
from launcher import free_port


class Servers:
    """Two or three launchers on this machine that take themselves for servers."""

    def __init__(self, fields, tmp_path):
        self.fields = fields
        self.tmp_path = tmp_path
        self.port = free_port()
        self.processes = []

    def start(self, body, node, nodes=2, **changes):
        per = changes.pop("per", 1)
        fields = self.fields(
            body, ranks=[node * per + i for i in range(per)], nodes=nodes, node=node, port=self.port,
            server=f"node{node}", **{"group_size": nodes * per, "log_dir": str(self.tmp_path / f"logs{node}"), **changes},
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, LAUNCHER, json.dumps(fields)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        return process

    def results(self, timeout=40):
        """(exit code, stderr) of each."""
        ends = [process.communicate(timeout=timeout) for process in self.processes]
        return [(process.returncode, err) for process, (_, err) in zip(self.processes, ends)]


@pytest.fixture
def servers(job, tmp_path):
    started = Servers(job, tmp_path)
    yield started
    for process in started.processes:
        if process.poll() is None:
            process.kill()
            process.communicate()


def test_two_servers_end_together(servers):
    servers.start("work(0.2 + rank / 5)", 1, per=2)
    servers.start("work(0.2 + rank / 5)", 0, per=2)
    assert servers.results() == [(0, ""), (0, "")]


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_the_ranks_of_all_servers_have_time_to_save(servers, tmp_path, asked):
    body = SAVES_SLOWLY.replace("SECONDS", "6") + "beat()\nwork(100)"
    launchers = [servers.start(body, node, max_restarts=1) for node in (0, 1)]
    beats = [tmp_path / f"logs{node}" / f"rank_{node}.heartbeat" for node in (0, 1)]
    wait_until(lambda: all(path.exists() and int(path.read_text() or 0) > 3 for path in beats))
    launchers[asked].send_signal(signal.SIGTERM)
    for node, (code, err) in enumerate(servers.results()):
        assert code == 143 and "restart" not in err
        assert f"error: server node{asked}: the launcher was ended by SIGTERM" in err
        assert "after step 7" in (tmp_path / f"logs{node}" / f"rank_{node}.log").read_text()


def test_a_failure_on_one_server_ends_all_and_is_named_on_all(servers, tmp_path):
    started = time.monotonic()
    for node in (0, 1):
        servers.start("work(1)\nif rank == 1: raise OSError('bad cable')\nwork(60)", node)
    results = servers.results()
    assert time.monotonic() - started < 12
    for code, err in results:
        assert code == 1
        assert err.splitlines()[-1] == (
            f"error: rank 1 on server node1: exit code 1: OSError: bad cable; log: {tmp_path}/logs1/rank_1.log"
        )


@pytest.mark.slow
def test_all_servers_restart_together(servers, tmp_path):
    body = f"""
runs = {str(tmp_path)!r} + f'/runs{{rank}}'
open(runs, 'a').write(';')
work(0.5)
if rank == FAILING and open(runs).read().count(';') < 2: raise RuntimeError('flaky')
work(0.5)
"""
    for failing in ("1", "0"):
        for node in (0, 1):
            servers.start(body.replace("FAILING", failing), node, max_restarts=1)
        results = servers.results()
        assert [code for code, _ in results] == [0, 0], results
        assert all("restart 1 of 1" in err for _, err in results)
        assert [(tmp_path / f"runs{rank}").read_text() for rank in (0, 1)] == [";;", ";;"]
        for rank in (0, 1):
            (tmp_path / f"runs{rank}").unlink()
        servers.processes.clear()


def test_a_lost_launcher_ends_the_others(servers):
    first, second = (servers.start("work(60)", node) for node in (0, 1))
    wait_until((servers.tmp_path / "logs1" / "rank_1.heartbeat").exists)
    second.kill()
    assert first.wait(timeout=15) == 1
    assert "error: server node_rank 1: was lost" in first.communicate()[1]


@pytest.mark.slow
def test_a_hang_over_two_servers_is_named_on_both(servers):
    for node in (0, 1):
        servers.start("os.kill(os.getpid(), signal.SIGSTOP) if rank == 1 else work(60, beats=False)", node, hang_timeout=4)
    for code, err in servers.results():
        assert code == 124 and "rank 1 on server node1: no rank made progress for 4 s; this one is stopped" in err


def test_servers_that_never_come(servers):
    started = time.monotonic()
    servers.start("", 0, nodes=3, timeout=2)
    servers.start("", 2, nodes=3, timeout=2)
    (code0, err0), (code2, err2) = servers.results()
    assert time.monotonic() - started < 10
    assert code0 == 2 and "of 3 servers, node_rank 1 did not come to 127.0.0.1" in err0 and "within 2 s" in err0
    assert code2 == 2 and "no start from server 0" in err2


def test_server_0_never_comes(servers):
    servers.start("", 1, timeout=1)
    code, err = servers.results()[0]
    assert code == 2 and "(Connection refused)" in err and len(err.splitlines()) == 1


@pytest.mark.slow
def test_servers_that_do_not_fit_are_refused(servers):
    servers.start("", 0, timeout=4)
    misfits = (
        ({"nodes": 3}, "was started with nnodes 3, server 0 with 2"),
        ({"per": 2}, "brings 2 devices, server 0 brings 1"),
        ({"agreement": "other"}, "has another rank table or other options than server 0"),
    )
    for changes, _ in misfits:
        servers.start("", 1, **changes)
    (code0, err0), *others = servers.results()
    assert code0 == 2 and "node_rank 1 did not come" in err0
    for (code, err), (_, reason) in zip(others, misfits):
        assert code == 2 and reason in err and reason in err0


def test_strangers_do_not_disturb(servers):
    first = servers.start("work(0.5)", 0, timeout=15)
    wait_until(lambda: _connects(servers.port + 1))
    with socket.create_connection(("127.0.0.1", servers.port + 1)) as stranger:
        stranger.sendall(b'GET / HTTP/1.0\r\n\r\n{"kind": "status"}\n' + os.urandom(100))
        servers.start("work(0.5)", 1)
        assert [code for code, _ in servers.results()] == [0, 0]
    assert first.returncode == 0


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False
