"""The launcher ends, names and restarts: plain programs that raise, are killed, hang or leave, on one server."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobs import LAUNCHER, SAVES_SLOWLY, is_alive, job_fixture, launched_fixture, wait_until  # noqa: F401
from launcher import job_from

from src.errors import UserError
from src.launch import supervisor
from src.launch.processes import cause_in, core_shares


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


@pytest.mark.slow
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
        f"print([os.environ.get(n) for n in {names}], sorted(os.sched_getaffinity(0)))\nprint(os.environ['OMP_NUM_THREADS'])"
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


def test_a_port_in_use_and_a_foreign_address_are_one_line(job):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"master_port: 127.0.0.1:{port} cannot be used: Address already in use"):
            supervisor.run(job_from(job("", port=port, rank_table=None)))
    with pytest.raises(UserError, match="198.51.100.1 is no address of this server"):
        supervisor.run(job_from(job("", master="198.51.100.1", rank_table=None)))
