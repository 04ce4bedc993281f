"""How the launchers of several servers meet, before ranks are started: over TCP, every server with server 0.

What goes over these connections decides only when ranks start and end and what is said of it; it cannot run anything.
Whoever connects without the job's secret is refused and named. He can hold `MAX_PENDING` connections for some seconds, and
each of them a few kilobytes; when one more comes, the oldest goes.
"""

import contextlib
import errno
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from ..errors import UserError, first_of
from .channel import SOCKET_SECONDS, Peer
from .job import Job, shown

RETRY_SECONDS = 0.2
WAIT_SECONDS = 0.01  # a launcher must be heard before a flood of strangers has taken its place
MAX_PENDING = 256  # connections that have not said yet who they are
MAX_ACCEPTED = 64  # new ones at a time, so that those before have the time to speak
FIRST_WORD_SECONDS = 5.0
MAX_SERVER = 200  # characters of a server's name
MAX_NAMED = 10  # reasons for refusals that are kept and shown


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


class _Door:
    """Where the launchers of the other servers come in, and strangers do not.

    Attributes:
        joined: a Peer for each server that is there, by node.
        came: the nodes of these and of those that have left again.
        refused: why others were refused.
    """

    def __init__(self, job: Job):
        self.joined: dict[int, Peer] = {}
        self.came: set[int] = set()
        self.refused: list[str] = []
        self._job = job
        self._pending: list[Peer] = []

    def admit(self, listener: socket.socket) -> None:
        """Takes new connections; where there are too many, the oldest ones go."""
        for _ in range(MAX_ACCEPTED):
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # it has gone already, or this process may not have more files open
                self._drop(len(self._pending) // 2)
                return
            self._pending.append(Peer(connection, address[0], self._job.secret, is_server_0=True))
            self._drop(len(self._pending) - MAX_PENDING)

    def listen(self) -> None:
        """Hears who the new ones are, and notices those that have gone."""
        for peer in list(self._pending):
            message = next(peer.receive(), None)
            if message is None and peer.open and time.monotonic() - peer.heard < FIRST_WORD_SECONDS:
                continue
            self._pending.remove(peer)
            reason = _refusal(self._job, message, self.joined) if message else peer.fault and f"{peer.host} {peer.fault}"
            if message and not reason:
                peer.node = message["node"]
                self.joined[peer.node] = peer
                self.came.add(peer.node)
                continue
            if reason:
                self._refuse(peer, reason)
            peer.close()
        for node, peer in list(self.joined.items()):
            for _ in peer.receive():
                pass  # it has said what there is to say
            if not peer.open:
                self.joined.pop(node).close()  # it may come back

    def close(self) -> None:
        """Ends the connections of those that have not joined."""
        self._drop(len(self._pending))

    def _refuse(self, peer: Peer, reason: str) -> None:
        if reason not in self.refused and len(self.refused) < MAX_NAMED:
            self.refused.append(reason)
            print(f"refused: {reason}", file=sys.stderr, flush=True)
        if peer.greeted:
            peer.send("refused", reason=reason)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._pending.pop(0).close()


def gather(job: Job, stop_asked: Callable[[], None]) -> list[Peer]:
    """Server 0 waits for the launchers of all other servers.

    Args:
        stop_asked: called often; may raise.

    Returns:
        A Peer for each, by `node`.

    Raises:
        UserError: some did not come within the job's `timeout`; names them, and those that were refused.
    """
    deadline = time.monotonic() + job.timeout
    door = _Door(job)
    with _listen(job.master, job.port + 1) as listener, contextlib.closing(door):
        listener.setblocking(False)
        while len(door.joined) < job.nodes - 1:
            stop_asked()
            door.admit(listener)
            door.listen()
            if time.monotonic() > deadline:
                others = set(range(1, job.nodes))
                missing = first_of([str(node) for node in sorted(others - door.came or others - set(door.joined))])
                why = f" (refused: {first_of(door.refused)})" if door.refused else ""
                raise UserError(
                    f"nnodes: of {job.nodes} servers, node_rank {missing} did not come to {job.master}:{job.port + 1} "
                    f"within {job.timeout:g} s{why}; start them, or raise --timeout"
                )
            time.sleep(WAIT_SECONDS)
    return [door.joined[node] for node in sorted(door.joined)]


def join(job: Job, stop_asked: Callable[[], None]) -> Peer:
    """Another server finds the launcher of server 0 and waits until it starts the job.

    Raises:
        UserError: it does not answer within the job's `timeout`, refuses, or does not have the secret.
    """
    deadline = time.monotonic() + job.timeout
    where = f"{job.master}:{job.port + 1}"
    source = (job.address, 0) if job.address else None
    reason = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        stop_asked()
        try:
            connection = socket.create_connection((job.master, job.port + 1), min(left, SOCKET_SECONDS), source)
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            peer = Peer(connection, job.master, job.secret, is_server_0=False)
            reason = _ask(job, peer, deadline, stop_asked)
            if not reason:
                return peer
            peer.close()
        time.sleep(RETRY_SECONDS)
    raise UserError(
        f"master_addr: no start from server 0 at {where} within {job.timeout:g} s ({reason}); "
        "start its launcher, check --master_addr and --master_port, or raise --timeout"
    )


def _ask(job: Job, peer: Peer, deadline: float, stop_asked: Callable[[], None]) -> str:
    """Asks server 0 to take this server; '' once it has started the job, or else why it has not."""
    where = f"server 0 at {job.master}:{job.port + 1}"
    has_asked = False
    while peer.open and time.monotonic() < deadline:
        stop_asked()
        for message in peer.receive():
            if message["kind"] == "refused":
                raise UserError(f"{where} refused this server: {shown(message.get('reason'))}")
            if message["kind"] == "joined":
                return ""
        if peer.greeted and not has_asked:
            has_asked = True
            peer.send(
                "join", node=job.node, nodes=job.nodes, ranks=len(job.ranks), agreement=job.agreement,
                server=job.server[:MAX_SERVER],
            )  # fmt: skip
        elif not has_asked and time.monotonic() - peer.heard > FIRST_WORD_SECONDS:
            return "it answered, but not as a launcher does"
        time.sleep(WAIT_SECONDS)
    if peer.fault and peer.greeted:
        raise UserError(
            f"{where} {peer.fault}; give all servers the same --secret_file. If they have it, a stranger answers there"
        )
    if peer.fault:
        return f"what answered there {peer.fault}"
    return "it answered, but did not start: other servers are missing" if peer.open else "it hung up"


def _refusal(job: Job, message: dict[str, Any], joined: dict[int, Peer]) -> str:
    """Why a server cannot take part, or ''."""
    node, nodes, ranks, server = (message.get(name) for name in ("node", "nodes", "ranks", "server"))
    if message["kind"] != "join" or type(node) is not int or type(nodes) is not int or type(ranks) is not int:
        return "a stranger connected"
    reasons = (
        (nodes != job.nodes, f"was started with nnodes {nodes}, server 0 with {job.nodes}"),
        (not 0 < node < job.nodes, f"has node_rank {node}; expected 1 to {job.nodes - 1}"),
        (node in joined, f"has node_rank {node}, which another server has already"),
        (ranks != len(job.ranks), f"brings {ranks} devices, server 0 brings {len(job.ranks)}"),
        (message.get("agreement") != job.agreement, "has another rank table or other options than server 0"),
    )
    return next((f"server {shown(server, MAX_SERVER)} {reason}" for wrong, reason in reasons if wrong), "")


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise UserError(f"master_addr: '{host}' cannot be resolved: {error.strerror}; pass an IP address") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(MAX_PENDING)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(f"master_addr: {host} is no address of this server, though it is server 0") from None
        raise UserError(
            f"master_port: {host}:{port} cannot be used: {error.strerror}; pass another --master_port on all servers"
        ) from None
    return listener
