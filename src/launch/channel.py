"""One connection between two launchers: JSON lines, each with a proof that its sender has the secret of the job.

Both sides begin with a line that holds a number of their own that never comes again. From these two and the secret comes
the key of the connection (HMAC, RFC 2104, with SHA-256); every later line starts with the HMAC of its direction, its number
and its content. So a stranger cannot write such lines, nor repeat those of another connection, of the other direction or of
before. They can be read by everybody on the way: nothing in them is secret.

What somebody without the secret sends is bounded in size and never parsed. Without a secret the key is open to all: for
servers that are one machine, and for networks without strangers.
"""

import contextlib
import hmac
import json
import re
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any

MAX_LINE = 65536
MAX_FIRST_LINE = 4096  # until the other side has shown that it has the secret
SOCKET_SECONDS = 5.0
SILENCE_SECONDS = 15.0  # a launcher reports every second; its server counts as lost after this
GREETING = re.compile(rb"resnet-zoo launcher 1 ([0-9a-f]{64})")
FROM_SERVER_0, FROM_OTHERS = b"0", b"1"
MAC_DIGITS = 64


class Peer:
    """A connection to another launcher.

    Attributes:
        host: the other side's address.
        node: the other server's number, -1 before it has joined.
        open: whether messages may still come.
        greeted: whether the other side's number is here, without which nothing can be sent.
        authentic: whether it has shown that it has the secret.
        fault: what it did that no launcher of this job does; '' where it did nothing of the kind.
        heard: when the last message came, or the connection began; of time.monotonic.
    """

    def __init__(self, connection: socket.socket, host: str, secret: bytes, is_server_0: bool):
        connection.setblocking(False)
        self.host = host
        self.node = -1
        self.open = True
        self.greeted = False
        self.authentic = False
        self.fault = ""
        self.heard = time.monotonic()
        self._socket = connection
        self._secret = secret
        self._key = b""
        self._own = FROM_SERVER_0 if is_server_0 else FROM_OTHERS
        self._others = FROM_OTHERS if is_server_0 else FROM_SERVER_0
        self._sent = 0
        self._taken = 0
        self._received = b""
        self._nonce = secrets.token_hex(32).encode()
        self._write(b"resnet-zoo launcher 1 " + self._nonce + b"\n")

    def send(self, kind: str, **content: Any) -> None:
        """Sends one message; a broken connection is noticed by `receive`."""
        content_line = json.dumps({"kind": kind, **content}).encode()
        self._write(self._mac(self._own, self._sent, content_line) + b" " + content_line + b"\n")
        self._sent += 1

    def receive(self) -> Iterator[dict[str, Any]]:
        """The messages that have arrived. It waits for none, and reads `MAX_LINE` bytes at most, however fast they come."""
        self._read()
        while b"\n" in self._received and not self.fault:
            line, _, self._received = self._received.partition(b"\n")
            if not self.greeted:
                self._greet(line)
                continue
            content = line[MAC_DIGITS + 1 :]
            if not hmac.compare_digest(line[: MAC_DIGITS + 1], self._mac(self._others, self._taken, content) + b" "):
                self._refuse("did not prove that it has the secret of this job")
                return
            self._taken += 1
            try:
                message = json.loads(content)
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
                self._refuse("sent what no launcher sends")
                return
            self.authentic = True
            self.heard = time.monotonic()
            yield message

    def is_lost(self) -> bool:
        """Whether the other side has gone or is silent for too long."""
        return not self.open or time.monotonic() - self.heard > SILENCE_SECONDS

    def close(self) -> None:
        """Ends the connection."""
        self.open = False
        self._socket.close()

    def _read(self) -> None:
        if not self.open:
            return
        try:
            data = self._socket.recv(MAX_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.open = bool(data)
        self._received += data
        limit = MAX_LINE if self.authentic else MAX_FIRST_LINE
        if len(self._received) - (self._received.rfind(b"\n") + 1) > limit:
            self._refuse(f"sent more than {limit} bytes without the end of a line")

    def _greet(self, line: bytes) -> None:
        match = GREETING.fullmatch(line)
        if not match or match.group(1) == self._nonce:  # an echo: TCP can connect a port to itself
            self._refuse("sent what no launcher sends")
            return
        numbers = (self._nonce, match.group(1)) if self._own == FROM_SERVER_0 else (match.group(1), self._nonce)
        self._key = hmac.digest(self._secret, b" ".join(numbers), "sha256")
        self.greeted = True

    def _mac(self, direction: bytes, number: int, content: bytes) -> bytes:
        return hmac.digest(self._key, b"%s %d %s" % (direction, number, content), "sha256").hex().encode()

    def _refuse(self, fault: str) -> None:
        self.fault = fault
        self.open = False
        self._received = b""

    def _write(self, data: bytes) -> None:
        try:
            self._socket.settimeout(SOCKET_SECONDS)
            self._socket.sendall(data)
        except OSError:
            self.open = False
        finally:
            with contextlib.suppress(OSError):
                self._socket.setblocking(False)
