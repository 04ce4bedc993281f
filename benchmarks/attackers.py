"""Strangers who attack the launchers of a job: they can reach the port and read the source, but do not have the secret."""

import contextlib
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator

NOISE = (
    b"GET / HTTP/1.0\r\n\r\n",
    b"\n" + b"x" * 2_000_000,  # a line without end
    b"[" * 60_000 + b"\n",
    b'{"kind": "join", "node": 1, "nodes": 2, "ranks": 1, "agreement": "", "server": "\x1b[2J"}\n',
    b"\n" * 100_000,
    b"resnet-zoo launcher 1 " + b"0" * 64 + b"\n" + b"\xff" * 5_000,
)
HALF_OPEN = 300


class Attack:
    """All kinds of attacks on one port at once, each in a thread, until the block ends.

    Attributes:
        tries: kind -> how often it was tried.
    """

    def __init__(self, port: int, recorded: bytes = b""):
        """`recorded`: what a launcher of the job, which has the secret, once sent to somebody else."""
        self.port = port
        self.recorded = recorded
        self.tries: dict = {}
        self._ended = threading.Event()
        kinds = (garbage, endless, flood, half_open, slow, impostor, other_secret, echo, *([replay] if recorded else []))
        self._threads = [threading.Thread(target=self._repeat, args=(kind,), daemon=True) for kind in kinds]

    def __enter__(self) -> "Attack":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, kind) -> None:
        while not self._ended.wait(0.002):
            try:
                kind(self, self._ended)
            except ConnectionRefusedError:  # nobody listens any more
                continue
            except OSError:  # hung up
                pass
            self.tries[kind.__name__] = self.tries.get(kind.__name__, 0) + 1

    def connect(self) -> socket.socket:
        """A connection to the port."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=1)


def garbage(attack: Attack, _ended) -> None:
    """Sends what is no greeting, or one and then noise."""
    with attack.connect() as connection:
        connection.sendall(random.choice((*NOISE, os.urandom(1000))))


def endless(attack: Attack, ended: threading.Event) -> None:
    """Sends bytes as fast as they go."""
    with attack.connect() as connection:
        connection.sendall(b"\n")
        while not ended.is_set():
            connection.sendall(b"x" * 65536)


def flood(attack: Attack, _ended) -> None:
    """Comes and goes."""
    for _ in range(50):
        attack.connect().close()


def half_open(attack: Attack, ended: threading.Event) -> None:
    """Keeps many connections and says nothing."""
    with contextlib.ExitStack() as held:
        for _ in range(HALF_OPEN):
            held.enter_context(attack.connect())
        ended.wait(1)


def slow(attack: Attack, ended: threading.Event) -> None:
    """A byte now and then."""
    with attack.connect() as connection:
        for byte in b"resnet-zoo launcher 1 0123":
            connection.sendall(bytes([byte]))
            ended.wait(0.2)


def impostor(attack: Attack, _ended) -> None:
    """Greets as a launcher does and asks to be server 1, with a proof that is none."""
    with attack.connect() as connection:
        connection.sendall(greeting() + join_line(b"0" * 64))
        connection.recv(4096)


def other_secret(attack: Attack, ended: threading.Event) -> None:
    """The whole program of a launcher, with a secret of its own."""
    from src.launch.channel import Peer

    connection = attack.connect()
    peer = Peer(connection, "", b"a secret of the attacker", is_server_0=False)
    with contextlib.closing(peer):
        until = time.monotonic() + 1
        asked = False
        while peer.open and time.monotonic() < until and not ended.is_set():
            list(peer.receive())
            if peer.greeted and not asked:
                peer.send("join", node=1, nodes=2, ranks=1, agreement="", server="attacker")
                asked = True
            time.sleep(0.01)


def echo(attack: Attack, _ended) -> None:
    """Gives server 0 its own words back."""
    with attack.connect() as connection:
        while data := connection.recv(4096):
            connection.sendall(data)


def replay(attack: Attack, _ended) -> None:
    """Says what a launcher that has the secret once said to somebody else."""
    with attack.connect() as connection:
        connection.sendall(attack.recorded)
        connection.recv(4096)


def greeting() -> bytes:
    """The first line of a launcher."""
    return f"resnet-zoo launcher 1 {secrets.token_hex(32)}\n".encode()


def join_line(proof: bytes) -> bytes:
    """What server 1 asks server 0, with `proof` in the place of the HMAC."""
    return proof + b' {"kind": "join", "node": 1, "nodes": 2, "ranks": 1, "agreement": "", "server": "attacker"}\n'


@contextlib.contextmanager
def false_server(port: int, answer: bytes = b"") -> Iterator[list]:
    """A stranger who listens where server 0 should, greets, and gives `answer` to what is asked.

    Yields:
        A list to which the bytes that each launcher sent are added.
    """
    heard: list = []

    def serve() -> None:
        while True:
            try:
                connection = listener.accept()[0]
            except OSError:  # the block has ended
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                connection.sendall(greeting())
                data = b""
                while data.count(b"\n") < 2 and (more := connection.recv(4096)):
                    data += more
                heard.append(data)
                connection.sendall(answer)
                time.sleep(0.2)

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
