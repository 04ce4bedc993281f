"""Strangers at the launchers' door: what they send, how many they are, whose place they want to take."""

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from jobs import LAUNCHER, job_fixture, wait_until  # noqa: F401
from launcher import free_port

from conftest import ROOT
from src.launch.channel import MAX_FIRST_LINE, MAX_LINE, Peer
from src.launch.job import Failure

sys.path.append(str(ROOT / "benchmarks"))
from attackers import NOISE, Attack, false_server, greeting, join_line  # noqa: E402

SECRET = "of the servers, 32 characters ..."


@pytest.fixture
def start(job, tmp_path):
    """Starts the launcher of one of two servers with the secret; ends it after the test."""
    port = free_port()
    started = []

    def launch(node, body="work(0.3)", prepare=None, **changes) -> subprocess.Popen:
        fields = job(
            body, ranks=[node], group_size=2, nodes=2, node=node, server=f"node{node}",
            log_dir=str(tmp_path / f"logs{node}"), **{"port": port, "secret": SECRET, **changes},
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, LAUNCHER, json.dumps(fields)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=prepare,  # noqa: PLW1509
        )  # fmt: skip
        started.append(process)
        return process

    launch.port = port
    yield launch
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process, seconds=30):
    """Exit code and stderr."""
    _, err = process.communicate(timeout=seconds)
    return process.returncode, err


def is_listening(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


def recorded_join(start):
    """What a launcher with the secret says to a stranger who listens in the place of server 0."""
    port = free_port()
    with false_server(port + 1) as heard:
        process = start(1, port=port, timeout=3)
        wait_until(lambda: heard)
        process.kill()
        process.communicate()
    return heard[0]


def test_a_job_that_strangers_attack_ends_as_if_nothing_had_been_there(start):
    recorded = recorded_join(start)
    first = start(0)
    wait_until(lambda: is_listening(start.port + 1))
    memory = psutil.Process(first.pid).memory_info().rss
    with Attack(start.port + 1, recorded) as attack:
        time.sleep(2.5)
        assert first.poll() is None and psutil.Process(first.pid).memory_info().rss - memory < 32e6
        second = start(1)
        (code0, err0), (code1, err1) = ended(first), ended(second)
    assert (code0, code1, err1) == (0, 0, ""), err0 + err1
    assert set(err0.splitlines()) <= {
        "refused: 127.0.0.1 did not prove that it has the secret of this job",
        "refused: 127.0.0.1 sent what no launcher sends",
        f"refused: 127.0.0.1 sent more than {MAX_FIRST_LINE} bytes without the end of a line",
    }
    assert "did not prove" in err0 and len(attack.tries) == 9, (attack.tries, err0)


def test_noise_does_not_keep_the_launcher_from_its_timeout(start):
    process = start(0, timeout=2)
    wait_until(lambda: is_listening(start.port + 1))
    with contextlib.ExitStack() as held:
        for noise in NOISE:
            stranger = held.enter_context(socket.create_connection(("127.0.0.1", start.port + 1), 5))
            with contextlib.suppress(OSError):
                stranger.sendall(noise)
        code, err = ended(process, 10)
    assert code == 2 and "Traceback" not in err and "\x1b" not in err
    assert "node_rank 1 did not come" in err.splitlines()[-1] and "refused: 127.0.0.1" in err.splitlines()[-1]


def test_neither_timeout_nor_sigterm_waits_for_a_stranger_who_never_stops(start):
    for number in (None, signal.SIGTERM):
        process = start(0, timeout=2 if number is None else 60)
        wait_until(lambda: is_listening(start.port + 1))
        with Attack(start.port + 1):
            began = time.monotonic()
            time.sleep(1)
            if number:
                process.send_signal(number)
            code, err = ended(process, 20)
        assert time.monotonic() - began < 6
        assert code == (143 if number else 2) and "Traceback" not in err


def test_connections_without_end_do_not_use_up_the_open_files(start):
    process = start(0, prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48)))
    wait_until(lambda: is_listening(start.port + 1))
    with contextlib.ExitStack() as held:
        for _ in range(150):
            held.enter_context(socket.create_connection(("127.0.0.1", start.port + 1), 5))
        second = start(1)
        assert ended(process) == (0, "")
        assert ended(second) == (0, "")


def test_an_impostor_in_the_place_of_server_1_is_refused_and_named(start):
    first, impostor = start(0, timeout=3), start(1, secret="another secret, also long enough")
    code, err = ended(impostor)
    assert code == 2 and re.fullmatch(
        r"error: server 0 at \S+ did not prove that it has the secret of this job; give all servers the same "
        r"--secret_file\. If they have it, a stranger answers there\n", err,
    )  # fmt: skip
    code, err = ended(first)
    assert code == 2 and "(refused: 127.0.0.1 did not prove that it has the secret of this job)" in err


@pytest.mark.parametrize(
    "answer", [join_line(b"0" * 64).replace(b"join", b"joined"), b"\x1b[2J\n", b'{"kind": "joined"}\n', b""]
)
def test_an_impostor_in_the_place_of_server_0_is_refused_and_named(start, answer):
    with false_server(start.port + 1, answer):
        code, err = ended(start(1, timeout=2))
    assert code == 2 and len(err.splitlines()) == 1 and "\x1b" not in err
    assert ("did not prove that it has the secret" if answer else "it hung up") in err


def test_a_server_that_never_says_a_word_does_not_hold_the_launcher(start):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", start.port + 1))
        silent.listen()
        code, err = ended(start(1, timeout=1), 10)
    assert code == 2 and "no start from server 0" in err


@pytest.fixture
def pair():
    """Both ends of a connection between launchers that have greeted each other, and their sockets."""
    sockets = socket.socketpair()
    peers = [Peer(end, "there", SECRET.encode(), is_server_0=number == 0) for number, end in enumerate(sockets)]
    for peer in peers:
        assert not list(peer.receive()) and peer.greeted
    yield (*peers, *sockets)
    for peer in peers:
        peer.close()


def kinds(peer):
    return [message["kind"] for message in peer.receive()]


def test_messages_arrive_in_order_in_both_directions(pair):
    first, second, *_ = pair
    second.send("join", node=1)
    second.send("status", status={"idle": 0.5})
    first.send("joined")
    assert list(first.receive()) == [{"kind": "join", "node": 1}, {"kind": "status", "status": {"idle": 0.5}}]
    assert kinds(second) == ["joined"] and first.authentic and second.authentic and not first.fault


def test_one_message_can_be_taken_at_a_time(pair):
    first, second, *_ = pair
    for kind in "abc":
        second.send(kind)
    assert next(first.receive())["kind"] == "a"
    second.close()
    assert kinds(first) == ["b", "c"] and not first.open and not first.fault


@pytest.mark.parametrize("how", ["again", "reflected", "changed", "order"])
def test_lines_that_were_recorded_prove_nothing(pair, how):
    first, second, own, others = pair
    second.send("join", node=1)
    second.send("status")
    lines = own.recv(MAX_LINE).splitlines(keepends=True)
    if how == "reflected":
        others.sendall(b"".join(lines))  # to where they came from
        own.sendall(lines[0])
        assert not kinds(second) and "did not prove" in second.fault and not second.open
        return
    sent = {"again": [lines[0], lines[0]], "changed": [lines[0].replace(b"1}", b"2}")], "order": lines[::-1]}[how]
    others.sendall(b"".join(sent))
    assert kinds(first) == ["join"] * (how == "again") and "did not prove" in first.fault and not first.open


def test_every_changed_byte_is_noticed():
    for position in range(0, 150, 7):
        ends = socket.socketpair()
        first, second = (Peer(end, "there", SECRET.encode(), is_server_0=number == 0) for number, end in enumerate(ends))
        list(second.receive())
        list(first.receive())
        second.send("join", node=1, server="x" * 60)
        line = bytearray(ends[0].recv(MAX_LINE))
        line[position] ^= 1
        ends[1].sendall(line)
        assert not list(first.receive())
        if line.count(b"\n") == 1 and line.endswith(b"\n"):
            assert first.fault
        for end in ends:
            end.close()


def test_an_echo_of_the_greeting_is_no_greeting():
    ends = socket.socketpair()
    peer = Peer(ends[0], "there", b"", is_server_0=True)
    ends[1].sendall(ends[1].recv(200))
    assert not list(peer.receive()) and not peer.greeted and peer.fault == "sent what no launcher sends"
    for end in ends:
        end.close()


@pytest.mark.parametrize("content", [b"[" * 4000, b"1" * 4000, b"NaN", b"[]", b'{"kind": 1}', b"\xff", b'"\\ud800"', b""])
def test_even_with_the_secret_bad_messages_only_end_the_connection(pair, content):
    first, second, *_ = pair
    second._write(second._mac(second._own, 0, content) + b" " + content + b"\n")
    assert not kinds(first) and first.fault == "sent what no launcher sends"


def test_a_reader_is_never_held_and_keeps_little(pair):
    first, _, _, stranger = pair
    stranger.setblocking(False)
    began = time.monotonic()
    while first.open and time.monotonic() - began < 5:
        with contextlib.suppress(BlockingIOError):
            stranger.send(b"x" * 65536)
        assert not kinds(first) and len(first._received) <= MAX_FIRST_LINE
    assert "without the end of a line" in first.fault


def test_what_other_servers_say_is_escaped_and_bounded():
    hostile = {"rank": 10**9, "server": "\x1b[2Jx\ud800", "cause": "a\nerror: b" + "c" * 10**5, "log": "\x9b", "code": 3}
    failure = Failure.from_message(hostile)
    text = str(failure)
    assert text.isprintable() and text.isascii() and len(text) < 10_000 and failure.rank == -1
    assert len(json.dumps({"a": Failure(1, "\0" * 10**5, "\0" * 10**5, "\0" * 10**5, 1).as_message()})) < MAX_LINE / 3


def test_the_secret_reaches_no_rank_no_log_and_no_command_line(start, tmp_path, monkeypatch):
    monkeypatch.delenv("RESNET_ZOO_SECRET", raising=False)
    body = "print(dict(os.environ))\nwork(1)"
    first, second = start(0, body), start(1, body)
    wait_until((tmp_path / "logs0" / "rank_0.heartbeat").exists)
    children = psutil.Process(first.pid).children(recursive=True)
    assert children and not any(SECRET in str(child.environ()) + str(child.cmdline()) for child in children)
    for process in (first, second):
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0 and SECRET not in out + err
    assert SECRET not in "".join(path.read_text() for path in tmp_path.glob("logs*/*"))
    assert greeting() != greeting() and os.environ.get("RESNET_ZOO_SECRET") is None
