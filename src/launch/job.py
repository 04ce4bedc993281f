"""What a launch consists of: the ranks of this server, where the others are, and why a job ended."""

import dataclasses
import signal
from pathlib import Path
from typing import Any, Optional

from ..errors import printable

MAX_TEXT = 1000  # characters of each text in a message to another server
MAX_RANK = 10**6
HANG_EXIT_CODE = 124  # that of timeout(1)
# A rank that ended as it was asked to (src/training/stopping.py); one that a signal killed has no such code.
STOP_EXIT_CODES = (HANG_EXIT_CODE, 128 + signal.SIGINT, 128 + signal.SIGTERM)


@dataclasses.dataclass(frozen=True)
class LocalRank:
    """One process of this server. `device_id` is what MindSpore's set_device gets."""

    rank: int
    local_rank: int
    device_id: int


@dataclasses.dataclass(frozen=True)
class Job:
    """One launch on one server.

    Attributes:
        program: the command of a rank without the interpreter's name, for example ("train.py", "--lr", "0.1").
        ranks: this server's LocalRanks.
        group_size: ranks of all servers together.
        nodes: number of servers; `node` is this one's number and 0 is where the scheduler runs.
        server: what messages call this server.
        address: this server's address for the other servers ('': MindSpore chooses).
        log_dir: folder of the ranks' logs and heartbeat files.
        platform: "Ascend", "GPU" or "CPU".
        master, port: where the scheduler listens; with several servers the launchers meet at port + 1.
        rank_table: file for the rank-table start, None for the start through a scheduler.
        agreement: what must be the same on all servers, as text.
        secret: what the launchers of all servers know and nobody else (src/launch/secret.py).
        timeout: seconds until all servers and ranks have found each other.
        hang_timeout: seconds without a heartbeat of any rank after which the job is ended.
        stop_timeout: seconds that ranks get to finish their step and save when the launcher is asked to end the job.
        max_restarts: how often all ranks are started again after a failure.
        restart_arguments: what the program gets besides when it is started again.
        restart_pause: seconds between the end of the ranks and their restart.
        bind_cores: whether every rank gets its own slice of the cores.
    """

    program: tuple[str, ...]
    ranks: tuple[LocalRank, ...]
    group_size: int
    log_dir: Path
    platform: str = "CPU"
    nodes: int = 1
    node: int = 0
    server: str = "127.0.0.1"
    address: str = ""
    master: str = "127.0.0.1"
    port: int = 8118
    rank_table: Optional[Path] = None
    agreement: str = ""
    secret: bytes = dataclasses.field(default=b"", repr=False)
    timeout: float = 120.0
    hang_timeout: float = 1800.0
    stop_timeout: float = 120.0
    max_restarts: int = 0
    restart_arguments: tuple[str, ...] = ()
    restart_pause: float = 0.0
    bind_cores: bool = True


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a job ended: the rank (-1: none), its server, the cause, the log file ('': none), the exit code.

    `restartable`: another attempt may help. `asked`: nothing is wrong, somebody asked for the end.
    """

    rank: int
    server: str
    cause: str
    log: str
    code: int
    restartable: bool = True
    asked: bool = False

    def __str__(self) -> str:
        who = f"rank {self.rank} on server {self.server}" if self.rank >= 0 else f"server {self.server}"
        return shown(f"{who}: {self.cause}" + (f"; log: {self.log}" if self.log else ""))

    def as_message(self) -> dict[str, Any]:
        """For the launchers of the other servers."""
        fields = dataclasses.asdict(self).items()
        return {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in fields}

    @classmethod
    def from_message(cls, message: Any) -> "Failure":
        """What another launcher sent; fields of the wrong type are replaced."""
        fields = message if isinstance(message, dict) else {}
        values: dict[str, Any] = {}
        for field, default in (
            ("rank", -1), ("server", "?"), ("cause", "failed"), ("log", ""), ("code", 1), ("restartable", False),
            ("asked", False),
        ):  # fmt: skip
            value = fields.get(field)
            values[field] = value if type(value) is type(default) else default
        if not -1 <= values["rank"] <= MAX_RANK:
            values["rank"] = -1
        return cls(**values)


def shown(text: Any, limit: int = 4 * MAX_TEXT) -> str:
    """What another program said, for the terminal: control characters escaped, `limit` characters at most."""
    return printable(str(text)[:limit]).encode("utf-8", "backslashreplace").decode()


def interrupted(server: str, signal_number: int) -> Failure:
    """The launcher of `server` got a signal that asks it to end."""
    name = signal.Signals(signal_number).name
    return Failure(-1, server, f"the launcher was ended by {name}", "", 128 + signal_number, restartable=False, asked=True)
