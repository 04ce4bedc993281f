"""The launcher ends, names and restarts: plain programs that raise, are killed, hang or leave, on one and on two servers."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from launcher import free_port, job_from

from src.distributed import watch
from src.distributed.processes import cause_in, core_shares
from src.errors import UserError

LAUNCHER = Path(__file__).with_name("launcher.py")
PROGRAM = """
import os, signal, subprocess, sys, time
from src.distributed.heartbeat import beat
rank = int(os.environ["RANK_ID"])
beat()
print("rank", rank, "of", os.environ["RANK_SIZE"], "on device", os.environ["DEVICE_ID"])
def work(seconds, beats=True):
    for _ in range(int(seconds * 20)):
        time.sleep(0.05)
        beats and beat()
"""


@pytest.fixture
def job(tmp_path):
    """Fields of a job without a scheduler, whose ranks run `PROGRAM` and then `body`."""

    def fields(body: str, ranks=(0, 1), **changes) -> dict:
        program = tmp_path / "program.py"
        program.write_text(PROGRAM + body, encoding="utf-8")
        return {
            "program": [str(program)], "ranks": list(ranks), "group_size": len(ranks), "log_dir": str(tmp_path / "logs"),
            "rank_table": str(tmp_path / "unused.json"), "server": "here", "timeout": 20, **changes,
        }  # fmt: skip

    return fields


@pytest.fixture
def launched(job, capfd):
    """Runs a job in this process; returns exit code, seconds, stdout, stderr."""

    def run(body: str, **changes) -> tuple:
        started = time.monotonic()
        code = watch.run(job_from(job(body, **changes)))
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


def test_all_ranks_end_well(launched, tmp_path):
    code, _, out, err = launched("work(0.2)")
    assert code == 0 and not err
    assert "rank 0 of 2 on device 0" in out and "all ranks ended well" in out and "rank 1 of" not in out
    assert "rank 1 of 2 on device 1" in (tmp_path / "logs" / "rank_1.log").read_text()


ENDS = {
    "raises": ("if rank == 1: raise ValueError('no such thing')\nwork(60)", 1, "exit code 1: ValueError: no such thing"),
    "user error": ("if rank == 1: sys.exit(print('error: lr: wrong') or 2)\nwork(60)", 2, "exit code 2: lr: wrong"),
    "SIGSEGV": ("if rank == 1: os.kill(os.getpid(), signal.SIGSEGV)\nwork(60)", 139, "killed by SIGSEGV"),
    "SIGKILL": ("if rank == 1: os.kill(os.getpid(), signal.SIGKILL)\nwork(60)", 137, "killed by SIGKILL"),
    "exit": ("if rank == 1: sys.exit('lost the disk')\nwork(60)", 1, "exit code 1: lost the disk"),
}


@pytest.mark.parametrize("how", ENDS)
def test_one_rank_ends_badly(launched, tmp_path, how):
    body, expected, cause = ENDS[how]
    code, seconds, _, err = launched(body)
    assert code == expected and seconds < 10
    last = err.splitlines()[-1]
    assert last.startswith(f"error: rank 1 on server here: {cause}") and last.endswith(f"log: {tmp_path}/logs/rank_1.log")
    assert f"last lines of {tmp_path}/logs/rank_1.log:\n  rank 1 of 2" in err


@pytest.mark.slow
def test_a_rank_that_ignores_sigterm_is_killed(launched):
    code, seconds, *_ = launched("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif rank == 1: sys.exit(7)\nwork(60)")
    assert code == 7 and seconds < 10


def test_nothing_of_a_rank_is_left(launched, tmp_path):
    pid_file = tmp_path / "pid"
    body = (
        f"child = subprocess.Popen(['sleep', '300'])\nopen({str(pid_file)!r} + str(rank), 'w').write(str(child.pid))\n"
        "if rank == 1: work(0.5); sys.exit(3)\nwork(60)"
    )
    code, *_ = launched(body)
    assert code == 3
    children = [int(Path(f"{pid_file}{rank}").read_text()) for rank in "01"]
    wait_until(lambda: not any(map(is_alive, children)), 5)  # the signals are sent; a loaded system delivers them later


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("os.kill(os.getpid(), signal.SIGSTOP) if rank == 1 else work(60, beats=False)", "is stopped (SIGSTOP)"),
        ("work(0.5) if rank == 0 else None\nwork(60, beats=False)", "is at beat 1"),
    ],
)
def test_a_hang_is_found_by_missing_heartbeats(launched, body, cause):
    code, seconds, _, err = launched(body, hang_timeout=4)  # time for both to start on a loaded system
    assert code == 124 and seconds < 20
    assert f"rank 1 on server here: no rank made progress for 4 s; this one {cause}" in err.splitlines()[-1]
    assert "program.py" in err and "most recent call first" in err  # where it hangs


def test_a_hang_at_the_same_place_says_so(launched, tmp_path):
    code, _, _, err = launched("work(60, beats=False)", hang_timeout=4)  # time for both to start on a loaded system
    assert code == 124 and "this one is at beat 1, as are the others; the logs of all ranks end with where" in err
    assert all("program.py" in (tmp_path / "logs" / f"rank_{rank}.log").read_text() for rank in (0, 1))


@pytest.mark.slow
def test_one_slow_rank_is_no_hang(launched):
    code, *_ = launched("work(3, beats=rank == 0)", hang_timeout=1.5)  # rank 0 evaluates, rank 1 waits for it
    assert code == 0


@pytest.mark.slow
def test_a_rank_may_follow_one_that_it_waited_for(launched):
    code, *_ = launched("work(3, beats=rank == 0)\ntime.sleep(0.7 * rank)", hang_timeout=1.5)
    assert code == 0


def test_joining_may_take_longer_than_the_hang_timeout(launched):
    late = "import os, time; time.sleep(2); open(os.environ['RESNET_ZOO_HEARTBEAT'], 'w').write('1')"
    code, *_ = launched("", program=["-c", late], hang_timeout=1)
    assert code == 0


def test_a_rank_that_leaves_early_is_named(launched):
    code, _, _, err = launched("work(60, beats=False) if rank else None", hang_timeout=2)
    assert code == 1 and "rank 0 on server here: ended with exit code 0 while others were still at work" in err


def test_a_rank_that_does_not_join_is_named(launched):
    body = "work(60)"
    code, _, _, err = launched(body, timeout=1, program=["-c", "import time; time.sleep(60)"])
    assert code == 124 and "did not join the other ranks within 1 s" in err


def test_restarts_use_new_logs_and_stop_at_the_limit(launched, tmp_path):
    body = f"""
runs = {str(tmp_path)!r} + f'/runs{{rank}}'
open(runs, 'a').write(' '.join(sys.argv[1:]) + ';')
if rank == 1 and open(runs).read().count(';') < LIMIT: raise RuntimeError('flaky')
"""
    options = {"max_restarts": 2, "restart_arguments": ["--resume", "auto"]}
    code, _, _, err = launched(body.replace("LIMIT", "3"), **options)
    assert code == 0 and "restart 1 of 2" in err and "restart 2 of 2" in err
    assert (tmp_path / "runs0").read_text() == ";--resume auto;--resume auto;"
    assert "flaky" in (tmp_path / "logs" / "rank_1.restart1.log").read_text()
    assert "flaky" not in (tmp_path / "logs" / "rank_1.restart2.log").read_text()
    code, _, _, err = launched(body.replace("LIMIT", "99"), **options)
    assert code == 1 and err.splitlines()[-1].startswith("error: rank 1 on server here: exit code 1: RuntimeError: flaky")


def test_a_users_mistake_is_not_restarted(launched):
    code, _, _, err = launched("sys.exit(print('error: lr: wrong') or 2)", max_restarts=3)
    assert code == 2 and "restart" not in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_end_of_the_launcher_is_the_end_of_the_ranks(job, tmp_path, number):
    body = (
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(tmp_path)!r} + f'/pid{{rank}}', 'w').write(f'{{os.getpid()}} {{child.pid}}')\nwork(100)"
    )
    launcher = subprocess.Popen(
        [sys.executable, LAUNCHER, json.dumps(job(body))], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - background jobs ignore it
    )  # fmt: skip
    pids = [tmp_path / f"pid{rank}" for rank in (0, 1)]
    wait_until(lambda: all(path.exists() and path.read_text() for path in pids))
    launcher.send_signal(number)
    _, err = launcher.communicate(timeout=15)
    wait_until(lambda: not any(is_alive(int(pid)) for path in pids for pid in path.read_text().split()))
    assert launcher.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert number == signal.SIGKILL or f"error: server here: the launcher was ended by {number.name}" in err


SAVES_SLOWLY = """
def stop(*_):
    time.sleep(SECONDS)
    print("stopped by SIGTERM after step 7", file=sys.stderr)
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
"""


@pytest.mark.slow
def test_ranks_have_time_to_save_when_the_launcher_is_asked_to_end(job, tmp_path):
    body = SAVES_SLOWLY.replace("SECONDS", "6") + "beat()\nwork(100)"  # longer than ranks of a failed job get
    launcher = subprocess.Popen(
        [sys.executable, LAUNCHER, json.dumps(job(body, max_restarts=1))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    beats = [tmp_path / "logs" / f"rank_{rank}.heartbeat" for rank in (0, 1)]
    wait_until(lambda: all(path.exists() and int(path.read_text() or 0) > 3 for path in beats))
    launcher.send_signal(signal.SIGTERM)
    out, err = launcher.communicate(timeout=30)
    assert launcher.returncode == 143 and "error: server here: the launcher was ended by SIGTERM" in err
    assert "stopped by SIGTERM after step 7" in out and "restart" not in err
    assert "after step 7" in (tmp_path / "logs" / "rank_1.log").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--stop_timeout", "Ctrl-C again", "a rank that fails"])
def test_the_time_to_save_ends(job, tmp_path, how):
    body = SAVES_SLOWLY.replace("SECONDS", "100 if rank else 0.1").replace("143", "1") + "beat()\nwork(100)"
    if how != "a rank that fails":
        body = body.replace(" if rank else 0.1", "")
    fields = job(body, stop_timeout=1 if how == "--stop_timeout" else 100)
    launcher = subprocess.Popen(
        [sys.executable, LAUNCHER, json.dumps(fields)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - background jobs ignore it
    )  # fmt: skip
    beats = [tmp_path / "logs" / f"rank_{rank}.heartbeat" for rank in (0, 1)]
    wait_until(lambda: all(path.exists() and int(path.read_text() or 0) > 3 for path in beats))
    launcher.send_signal(signal.SIGINT)
    if how == "Ctrl-C again":
        time.sleep(0.5)
        launcher.send_signal(signal.SIGINT)
    assert launcher.wait(timeout=25) == 130


def test_a_rank_that_was_asked_to_stop_is_not_restarted_and_the_others_follow_by_themselves(launched, tmp_path):
    body = f"""
signal.signal(signal.SIGTERM, lambda *_: open({str(tmp_path)!r} + '/told', 'w'))
work(0.3 if rank else 1.5)
sys.exit(print('stopped by SIGTERM after step 7', file=sys.stderr) or 143)
"""
    code, _, _, err = launched(body, max_restarts=1)
    assert code == 143 and "restart" not in err and not (tmp_path / "told").exists()
    assert "error: rank 1 on server here: exit code 143: stopped by SIGTERM after step 7" in err


def test_nohup_keeps_a_job_alive(job, tmp_path):
    command = ["nohup", sys.executable, LAUNCHER, json.dumps(job(f"open({str(tmp_path)!r} + '/on', 'w')\nwork(1)"))]
    launcher = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until((tmp_path / "on").exists)
    launcher.send_signal(signal.SIGHUP)
    assert launcher.wait(timeout=15) == 0


def test_ranks_get_their_own_cores_and_environment(launched, tmp_path, monkeypatch):
    monkeypatch.setenv("MS_SCHED_PORT", "1")  # of another job
    monkeypatch.setenv("HCCL_CONNECT_TIMEOUT", "777")
    names = ("MS_SCHED_PORT", "HCCL_CONNECT_TIMEOUT", "MS_CPU_COMM_OP_TIMEOUT", "RANK_TABLE_FILE", "RESNET_ZOO_LOCAL_RANK")
    launched(
        f"print([os.environ.get(n) for n in {names}], sorted(os.sched_getaffinity(0)))\n"
        "print(os.environ['OMP_NUM_THREADS'])"
    )
    shares = core_shares(2)
    for rank in (0, 1):
        text = (tmp_path / "logs" / f"rank_{rank}.log").read_text()
        assert f"[None, '777', '604800', '{tmp_path}/unused.json', '{rank}']" in text
        if shares[0]:
            assert f"{shares[rank]}\n{len(shares[rank])}\n" in text
    assert core_shares(10**6)[:2] == [None, None]


def test_the_cause_is_found_in_a_log():
    assert cause_in("error: a\nerror: b: c\n[INFO] end") == "b: c"
    assert cause_in("Traceback\n  File x\nmindspore.MyError: why\n[WARNING] 1") == "mindspore.MyError: why"
    assert cause_in("first\nlast\n[INFO] DISTRIBUTED(1) Event base dispatch success!\n") == "last"
    assert cause_in("") == "it wrote nothing"
    assert cause_in("RuntimeError: E\n[ERROR] EI0002: notify").startswith("RuntimeError: E (EI0002: a rank did not answer")


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
        servers.start(
            "os.kill(os.getpid(), signal.SIGSTOP) if rank == 1 else work(60, beats=False)", node, hang_timeout=2
        )
    for code, err in servers.results():
        assert code == 124 and "rank 1 on server node1: no rank made progress for 2 s; this one is stopped" in err


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


def test_a_port_in_use_and_a_foreign_address_are_one_line(job):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"master_port: 127.0.0.1:{port} cannot be used: Address already in use"):
            watch.run(job_from(job("", port=port, rank_table=None)))
    with pytest.raises(UserError, match="198.51.100.1 is no address of this server"):
        watch.run(job_from(job("", master="198.51.100.1", rank_table=None)))


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
