"""The line between the launchers of several servers: who is there, how they fare, why the job ends.

JSON lines over TCP, from every server to server 0, read in the launcher's own loop. What goes over it decides only when
ranks start and end, so a stranger on the cluster's network can end a job, but not run anything.
"""

import contextlib
import json
import socket
import time
from typing import Any, Optional

from ..errors import UserError, first_of
from .job import Job

MAX_LINE = 65536
SOCKET_SECONDS = 5.0
SILENCE_SECONDS = 15.0  # a launcher reports every second; its server counts as lost after this
RETRY_SECONDS = 0.2


class Peer:
    """One connection to another launcher."""

    def __init__(self, connection: socket.socket):
        connection.setblocking(False)
        self._socket = connection
        self._received = b""
        self.node = -1
        self.open = True
        self.heard = time.monotonic()

    def send(self, kind: str, **content: Any) -> None:
        """Sends one message; a broken connection is noticed by `receive`."""
        line = json.dumps({"kind": kind, **content}).encode() + b"\n"
        try:
            self._socket.settimeout(SOCKET_SECONDS)
            self._socket.sendall(line)
        except OSError:
            self.open = False
        finally:
            with contextlib.suppress(OSError):
                self._socket.setblocking(False)

    def receive(self) -> list:
        """The messages that have arrived."""
        while self.open:
            try:
                data = self._socket.recv(MAX_LINE)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self.open = False
            self._received += data
            if len(self._received) > MAX_LINE and b"\n" not in self._received:
                self.open = False
        *lines, self._received = self._received.split(b"\n")
        messages = []
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                self.open = False
                break
            if isinstance(message, dict) and isinstance(message.get("kind"), str):
                messages.append(message)
        if messages:
            self.heard = time.monotonic()
        return messages

    def is_lost(self) -> bool:
        """Whether the other side has gone or is silent for too long."""
        return not self.open or time.monotonic() - self.heard > SILENCE_SECONDS

    def close(self) -> None:
        """Ends the connection."""
        self.open = False
        self._socket.close()


def check_port(host: str, port: int, seconds: float = 0.0) -> None:
    """Raises UserError where this server cannot listen at host:port within `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            _listen(host, port).close()
            return
        except UserError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_SECONDS)


def gather(job: Job, stop_asked: Any) -> list:
    """Server 0 waits for the launchers of all other servers.

    Args:
        stop_asked: called often; may raise.

    Returns:
        A Peer for each, by `node`.

    Raises:
        UserError: some did not come within the job's `timeout`; names them, and those that were refused.
    """
    deadline = time.monotonic() + job.timeout
    joined: dict = {}
    refused: list = []
    pending: list = []
    with _listen(job.master, job.port + 1) as listener:
        listener.setblocking(False)
        while len(joined) < job.nodes - 1:
            stop_asked()
            with contextlib.suppress(BlockingIOError):
                pending.append(Peer(listener.accept()[0]))
            for peer in list(pending):
                for message in peer.receive()[:1]:
                    pending.remove(peer)
                    reason = _refusal(job, message, joined)
                    if reason:
                        refused.append(reason)
                        peer.send("refused", reason=reason)
                        peer.close()
                    else:
                        peer.node = message["node"]
                        joined[peer.node] = peer
            for node in [node for node, peer in joined.items() if not peer.open]:
                del joined[node]  # it may come back
            if time.monotonic() > deadline:
                missing = first_of([str(node) for node in range(1, job.nodes) if node not in joined])
                why = f" (refused: {first_of(refused)})" if refused else ""
                raise UserError(
                    f"nnodes: of {job.nodes} servers, node_rank {missing} did not come to {job.master}:{job.port + 1} "
                    f"within {job.timeout:g} s{why}; start them, or raise --timeout"
                )
            time.sleep(RETRY_SECONDS / 4)
    return [joined[node] for node in sorted(joined)]


def join(job: Job, stop_asked: Any) -> Peer:
    """Another server finds the launcher of server 0 and waits until it starts the job.

    Raises:
        UserError: it does not answer within the job's `timeout`, or refuses.
    """
    deadline = time.monotonic() + job.timeout
    where = f"{job.master}:{job.port + 1}"
    reason = "no answer"
    while time.monotonic() < deadline:
        stop_asked()
        source = (job.address, 0) if job.address else None
        try:
            connection = socket.create_connection((job.master, job.port + 1), SOCKET_SECONDS, source_address=source)
        except OSError as error:
            reason = error.strerror or str(error)
            time.sleep(RETRY_SECONDS)
            continue
        peer = Peer(connection)
        peer.send("join", node=job.node, nodes=job.nodes, ranks=len(job.ranks), agreement=job.agreement, server=job.server)
        while peer.open and time.monotonic() < deadline:
            stop_asked()
            for message in peer.receive():
                if message["kind"] == "refused":
                    raise UserError(f"server 0 at {where} refused this server: {message.get('reason')}")
                if message["kind"] == "joined":
                    return peer
            time.sleep(RETRY_SECONDS / 4)
        reason = "it answered, but did not start: other servers are missing" if peer.open else "it hung up"
        peer.close()
    raise UserError(
        f"master_addr: no start from server 0 at {where} within {job.timeout:g} s ({reason}); "
        "start its launcher, check --master_addr and --master_port, or raise --timeout"
    )


def _refusal(job: Job, message: dict, joined: dict) -> Optional[str]:
    """Why a server cannot take part, or None."""
    node, server = message.get("node"), message.get("server")
    if message["kind"] != "join" or not isinstance(node, int):
        return "a stranger connected"
    nodes, ranks = message.get("nodes"), message.get("ranks")
    taken = node in joined and joined[node].open
    reasons = (
        (nodes != job.nodes, f"was started with nnodes {nodes}, server 0 with {job.nodes}"),
        (not 0 < node < job.nodes, f"has node_rank {node}; expected 1 to {job.nodes - 1}"),
        (taken, f"has node_rank {node}, which another server has already"),
        (ranks != len(job.ranks), f"brings {ranks} devices, server 0 brings {len(job.ranks)}"),
        (message.get("agreement") != job.agreement, "has another rank table or other options than server 0"),
    )
    return next((f"server {server} {reason}" for wrong, reason in reasons if wrong), None)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise UserError(f"master_addr: '{host}' cannot be resolved: {error.strerror}; pass an IP address") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == 99:  # EADDRNOTAVAIL
            raise UserError(f"master_addr: {host} is no address of this server, though it is server 0") from None
        raise UserError(
            f"master_port: {host}:{port} cannot be used: {error.strerror}; pass another --master_port on all servers"
        ) from None
    return listener
