"""Requests that come together, come too many, come slowly, are cut, or are bad by the hundred; and a clean stop."""

import http.client
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from servers import LIMITS, ask, running

from conftest import ROOT
from src.serving import serve


@pytest.fixture(scope="module")
def picture(trained) -> bytes:
    return next((trained["data"] / "val").rglob("*.jpg")).read_bytes()


@pytest.fixture
def held(network):
    """The network's thread is kept busy until the event is set."""
    release = threading.Event()
    network._thread.submit(release.wait, 30)
    yield release
    release.set()


def wait_for(condition, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_comes_together_goes_through_the_network_together_and_too_many_are_refused(port, network, held, picture):
    with ThreadPoolExecutor(20) as clients:
        answers = [clients.submit(ask, port, body=picture) for _ in range(LIMITS.queue)]
        wait_for(lambda: network.inside == LIMITS.queue)
        time.sleep(0.3)  # all are decoded then
        refused = [clients.submit(ask, port, body=picture) for _ in range(10)]
        for status, answer, headers in (one.result() for one in refused):
            assert (status, headers["retry-after"]) == (429, "1") and "images are waiting" in answer["error"]
        held.set()
        answers = [one.result() for one in answers]
    assert [status for status, _, _ in answers] == [200] * LIMITS.queue
    predictions = [answer["images"][0]["predictions"][0]["class"] for _, answer, _ in answers]
    assert len(set(predictions)) == 1
    # Some may have been taken before the others were there; the rest go by fours, twos and ones.
    sizes = [answer["images"][0]["batch"] for _, answer, _ in answers]
    assert sizes.count(4) >= 4 and set(sizes) <= {1, 2, 4}
    assert network.inside == 0


def test_whoever_leaves_takes_his_work_along(port, network, held, picture):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/predict", picture)
    wait_for(lambda: network.inside == 1)
    connection.close()
    wait_for(lambda: network.inside == 0, 2)
    classified = network.monitor.images._value.get()
    held.set()
    assert ask(port, body=picture)[0] == 200
    assert network.monitor.images._value.get() == classified + 1


def test_no_answer_in_time_is_said(port, network, held, picture):
    status, answer, headers = ask(port, body=picture)
    assert (status, headers["retry-after"]) == (503, "1") and "no answer within 4 seconds" in answer["error"]


def head_of(length: int) -> bytes:
    return f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


@pytest.mark.slow
def test_slow_and_cut_connections_end(port, network, picture):
    slow_body = socket.create_connection(("127.0.0.1", port))
    slow_body.sendall(head_of(1000) + b"x")
    silent, slow_head, cut = (socket.create_connection(("127.0.0.1", port)) for _ in range(3))
    slow_head.sendall(b"POST /predict HTTP/1.1\r\nHo")
    cut.sendall(head_of(1000) + b"x" * 100)
    cut.close()
    assert ask(port, body=picture)[0] == 200  # nobody waits for them
    with slow_body, silent, slow_head:
        slow_body.settimeout(10)
        assert b" 408 " in slow_body.recv(4096)
        for connection in (silent, slow_head):
            connection.settimeout(10)
            with pytest.raises(ConnectionResetError):
                assert connection.recv(4096) == b""
                raise ConnectionResetError
    assert network.inside == 0


def test_too_long_a_head_is_refused(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nA: " + b"x" * 40_000)
        connection.settimeout(10)
        assert b" 400 " in connection.recv(4096)


def test_bad_uploads_leave_nothing_behind(port, network, picture):
    damaged = [picture[: len(picture) // 2], b"no image", picture[:20], b"", b"\x89PNG\r\n\x1a\n" + bytes(1000)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(count: int) -> set[int]:
        statuses = set()
        for number in range(count):
            connection.request("POST", "/predict", damaged[number % len(damaged)])
            response = connection.getresponse()
            response.read()
            statuses.add(response.status)
        return statuses

    send(50)
    process = psutil.Process()
    before, files = process.memory_info().rss, process.num_fds()
    assert send(300) == {415, 422}
    assert process.memory_info().rss < before + (8 << 20) and process.num_fds() <= files
    assert network.inside == 0 and ask(port, body=picture)[0] == 200


def test_a_full_house_says_so(network):
    with running(network) as port:
        crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(LIMITS.connections)]
        try:
            wait_for(lambda: ask(port, "/healthz")[0] == 503)
        finally:
            for connection in crowd:
                connection.close()
        wait_for(lambda: ask(port, "/healthz")[0] == 200)


@pytest.mark.slow
def test_a_stop_lets_what_has_begun_be_finished(trained, picture):
    command = [sys.executable, "-m", "src", "serve", "--pretrained", trained["ckpt"], "--platform", "CPU", "--port", "0"]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        assert "last.ckpt at http://127.0.0.1:" in line
        port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
        open_upload = socket.create_connection(("127.0.0.1", port))
        open_upload.sendall(head_of(len(picture)) + picture[:100])
        assert ask(port, body=picture)[0] == 200
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        open_upload.sendall(picture[100:])
        open_upload.settimeout(10)
        assert b" 200 OK" in open_upload.recv(4096)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "ended\n", "")
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "pretrained: no value; pass --pretrained FILE"),
        (["--pretrained", "x.ckpt", "--host", "0.0.0.0"], "host: others could reach 0.0.0.0; pass --token_file FILE"),
        (["--pretrained", "x.ckpt", "--port", "99999"], "--port: invalid number from 0 to 65535 value: '99999'"),
        (["--pretrained", "x.ckpt", "--queue", "0"], "--queue: invalid number"),
        (["--pretrained", "x.ckpt", "--ports", "1"], "ports: unknown key"),
        (["--pretrained", "x.ckpt", "--host", "no.such.host.invalid"], "others could reach"),
        (["--pretrained", "x.ckpt", "--token_file", "nowhere"], "token_file: cannot read 'nowhere'"),
        (["--pretrained", "x.ckpt", "--port", "0"], "pretrained: no such file 'x.ckpt'"),
    ],
)
def test_a_mistake_is_one_line(refused, arguments, message):
    assert message in refused(serve.main, *arguments)


def test_what_is_not_installed_is_named(refused, monkeypatch):
    monkeypatch.setattr(serve, "PACKAGES", ("starlette", "no_such_package"))
    assert "'no_such_package', which is optional: pip install '.[serve]'" in refused(serve.main, "--pretrained", "x.ckpt")


def test_a_short_token_or_a_taken_port_is_refused(refused, tmp_path, port):
    token = tmp_path / "token"
    token.write_text("short")
    token.chmod(0o600)
    line = refused(serve.main, "--pretrained", "x.ckpt", "--token_file", token)
    assert "holds 5 bytes; expected at least 16" in line and "hex 32 > token" in line
    assert f"cannot listen at 127.0.0.1 port {port}" in refused(serve.main, "--pretrained", "x.ckpt", "--port", port)
