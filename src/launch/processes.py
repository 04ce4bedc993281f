"""The processes of this server's ranks: environment, cores, log, signs of life, end."""

import contextlib
import ctypes
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

import psutil

from ..progress import VARIABLE
from .job import STOP_EXIT_CODES, Failure, Job, LocalRank

ROOT = Path(__file__).resolve().parent.parent.parent
TERMINATE_SECONDS = 5.0  # between SIGTERM and SIGKILL
STACK_SECONDS = 5.0  # for ranks that hang to write where; a loaded system needs more than a moment
TAIL_BYTES = 65536
PR_SET_PDEATHSIG = 1
# How long a collective waits for other ranks: as long as it may, because they wait while rank 0 checks millions of files.
# The launcher knows better who makes progress.
CPU_COLLECTIVE_SECONDS = 7 * 24 * 3600
HCCL_COLLECTIVE_SECONDS = 17340  # the longest; CANN environment variable reference, Ascend 910A
MIN_HCCL_CONNECT, MAX_HCCL_CONNECT = 120, 7200
# HCCL's error codes (CANN, fault codes) that say little to those who do not know them.
HCCL_HINTS = {
    "EI0002": "a rank did not answer in time: another one died, is slow, or has another number of images",
    "EI0006": "the links between devices were not set up in time: another rank is missing, or TLS differs between servers",
}
# Of another start or another job, for example of the shell that runs the launcher.
FOREIGN = (
    "MS_ROLE", "MS_NODE_ID", "MS_WORKER_NUM", "MS_SCHED_HOST", "MS_SCHED_PORT", "MS_WORKER_IP", "RANK_TABLE_FILE",
    "MINDSPORE_HCCL_CONFIG_PATH", "RANK_ID", "RANK_SIZE", "DEVICE_ID",
)  # fmt: skip


class Process:
    """A started process in a session of its own, which the kernel kills when the launcher dies."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path, cores: Optional[list[int]] = None):
        self.log = log
        libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork
        launcher = os.getpid()

        def in_child() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != launcher:  # the launcher died in between
                os._exit(1)
            if cores:
                os.sched_setaffinity(0, cores)

        with open(log, "wb") as file:
            self._popen = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=in_child,  # noqa: PLW1509 - the launcher has one thread
            )
        self.pid = self._popen.pid

    def exit_code(self) -> Optional[int]:
        """None while it runs; below 0: minus the signal that killed it."""
        return self._popen.poll()

    def is_stopped(self) -> bool:
        """Whether a signal such as SIGSTOP holds it."""
        with contextlib.suppress(psutil.Error):
            return psutil.Process(self.pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        return False

    def send(self, signal_number: int) -> None:
        """Sends a signal to the process and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal_number)


class RankProcess(Process):
    """A rank, its heartbeat file, and what both tell."""

    def __init__(self, job: Job, place: LocalRank, attempt: int, cores: Optional[list[int]], start: str):
        self.rank = place.rank
        self.server = job.server
        suffix = f".restart{attempt}" if attempt else ""
        self.heartbeat = job.log_dir / f"rank_{place.rank}.heartbeat"
        self.heartbeat.unlink(missing_ok=True)
        self.beats = 0
        self.last_beat = time.monotonic()
        self._seen = -1
        self._is_over = False
        self._program = Path(job.program[0])
        extra = job.restart_arguments if attempt else ()
        device = ("--device_id", str(place.device_id)) if self._program.name in ("train.py", "eval.py", "-m") else ()
        command = [sys.executable, *job.program, *device, *extra]
        environment = rank_environment(job, place, cores)
        environment[VARIABLE] = str(self.heartbeat)
        environment["RESNET_ZOO_JOB"] = start
        super().__init__(command, environment, job.log_dir / f"rank_{place.rank}{suffix}.log", cores)

    def look(self) -> None:
        """Reads the heartbeat file; the end is the last sign of life."""
        if not self._is_over and self.exit_code() is not None:
            self._is_over = True
            self.last_beat = time.monotonic()
            return
        with contextlib.suppress(OSError, ValueError):
            changed = self.heartbeat.stat().st_mtime_ns
            if changed != self._seen:
                self._seen = changed
                self.last_beat = time.monotonic()
                self.beats = max(self.beats + 1, int(self.heartbeat.read_text(encoding="ascii") or 0))

    def idle(self) -> float:
        """Seconds since the last sign of life; 0 before the first, which is the business of `timeout`."""
        self.look()
        return time.monotonic() - self.last_beat if self.beats or self._is_over else 0.0

    def failure(self) -> Optional[Failure]:
        """Why it ended, if it ended badly."""
        code = self.exit_code()
        if not code:
            return None
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (the system does that when memory runs out)" if -code == signal.SIGKILL else ""
            return self.failed(f"killed by {name}{hint}", 128 - code)
        asked = code in STOP_EXIT_CODES
        # 2 is a mistake of the user's: it would come again
        return self.failed(f"exit code {code}: {cause_in(self.tail())}", code, not asked and code != 2, asked)

    def failed(self, cause: str, code: int, restartable: bool = True, asked: bool = False) -> Failure:
        """A Failure of this rank."""
        return Failure(self.rank, self.server, cause, str(self.log), code, restartable, asked)

    def ask_to_stop(self) -> None:
        """Sends SIGTERM to the rank alone: what it has started must live until its step is done."""
        if self.exit_code() is None:
            os.kill(self.pid, signal.SIGTERM)
            self.send(signal.SIGCONT)  # one that SIGSTOP holds would not see it

    def can_write_stack(self) -> bool:
        """Whether it can be asked where it is: the first beat makes a rank ready for that."""
        return bool(self.beats) and self.exit_code() is None

    def tail(self) -> str:
        """The end of its log."""
        with open(self.log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")


def start_ranks(job: Job, attempt: int) -> list["RankProcess"]:
    """Starts this server's ranks."""
    shares = core_shares(len(job.ranks)) if job.bind_cores else [None] * len(job.ranks)
    start = secrets.token_hex(8)  # a name that only these ranks have
    return [RankProcess(job, place, attempt, cores, start) for place, cores in zip(job.ranks, shares)]


def start_scheduler(job: Job, attempt: int) -> Process:
    """Starts the process through which the ranks find each other."""
    suffix = f".restart{attempt}" if attempt else ""
    environment = {**_base_environment(job), "MS_ROLE": "MS_SCHED", "RANK_ID": "0"}
    command = [sys.executable, "-m", f"{__package__}.scheduler"]
    return Process(command, environment, job.log_dir / f"scheduler{suffix}.log")


class Guard:
    """Kills what the processes have started, when the launcher is killed and cannot do it itself.

    The kernel then kills the processes, but not theirs. The guard waits for the end of a pipe that only the launcher holds.
    """

    def __init__(self, processes: Sequence[Process]):
        groups = [f"-{process.pid}" for process in processes]
        self._popen = subprocess.Popen(
            ["sh", "-c", 'read -r _ || kill -s KILL -- "$@"', "guard", *groups],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """The launcher ends the processes itself."""
        self._popen.kill()
        self._popen.communicate()


def let_finish(ranks: Sequence[Process], seconds: float, hurried: Callable[[], bool]) -> None:
    """Waits for ranks that were asked to stop, until all have ended, `seconds` are over or `hurried`; kills the rest.

    Not longer than `TERMINATE_SECONDS` after one of them ended badly, because the others may wait for it in vain.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not hurried() and any(rank.exit_code() is None for rank in ranks):
        if any(rank.exit_code() not in (None, 0, *STOP_EXIT_CODES) for rank in ranks):
            deadline = min(deadline, time.monotonic() + TERMINATE_SECONDS)
        time.sleep(0.05)
    for rank in ranks:
        rank.send(signal.SIGKILL)


def end(processes: Sequence[Process]) -> None:
    """Ends processes and what they started: SIGTERM, and SIGKILL for those that are still there after some seconds."""
    for process in processes:
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)  # one that SIGSTOP holds would not see it
    deadline = time.monotonic() + TERMINATE_SECONDS
    while time.monotonic() < deadline and any(process.exit_code() is None for process in processes):
        time.sleep(0.05)
    for process in processes:
        process.send(signal.SIGKILL)
    for process in processes:
        process._popen.wait()


def write_stacks(ranks: list["RankProcess"]) -> None:
    """Asks ranks to write to their logs where they are, and waits until they have or `STACK_SECONDS` are over."""
    sizes = {rank: rank.log.stat().st_size for rank in ranks if rank.can_write_stack()}
    for rank in sizes:
        os.kill(rank.pid, signal.SIGUSR1)
        rank.send(signal.SIGCONT)  # one that SIGSTOP holds answers now, before it goes on
    deadline = time.monotonic() + STACK_SECONDS
    while time.monotonic() < deadline and any(
        rank.log.stat().st_size == size and rank.exit_code() is None for rank, size in sizes.items()
    ):
        time.sleep(0.05)
    time.sleep(0.2)  # the first line is there; the others follow at once


def core_shares(ranks: int) -> Sequence[Optional[list[int]]]:
    """The cores that this process may use, in `ranks` slices of equal size; None for each where there are too few."""
    cores = sorted(os.sched_getaffinity(0))
    share = len(cores) // ranks
    return [cores[i * share : (i + 1) * share] for i in range(ranks)] if share else [None] * ranks


def rank_environment(job: Job, place: LocalRank, cores: Optional[list[int]]) -> dict[str, str]:
    """The environment of one rank; variables about time limits that the user has set win."""
    environment = _base_environment(job)
    environment.update(
        RANK_ID=str(place.rank), RANK_SIZE=str(job.group_size), DEVICE_ID=str(place.device_id), PYTHONUNBUFFERED="1",
        PYTHONFAULTHANDLER="1",
        RESNET_ZOO_LOCAL_RANK=str(place.local_rank), RESNET_ZOO_LOCAL_SIZE=str(len(job.ranks)),
    )  # fmt: skip
    if job.rank_table:
        environment["RANK_TABLE_FILE"] = str(job.rank_table)
    else:
        environment.update(MS_ROLE="MS_WORKER", MS_NODE_ID=str(place.rank))
        if job.address:
            environment["MS_WORKER_IP"] = job.address
    if job.address and job.platform == "Ascend":
        environment.setdefault("HCCL_IF_IP", job.address)
    environment.setdefault("OMP_NUM_THREADS", str(len(cores) if cores else 1))
    return environment


def _base_environment(job: Job) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    environment.setdefault("MS_CPU_COMM_OP_TIMEOUT", str(CPU_COLLECTIVE_SECONDS))
    environment.setdefault("MS_NODE_TIMEOUT", str(int(job.hang_timeout) + 60))  # the launcher is to notice first
    environment.setdefault("HCCL_EXEC_TIMEOUT", str(HCCL_COLLECTIVE_SECONDS))
    environment.setdefault("HCCL_CONNECT_TIMEOUT", str(min(max(int(job.timeout), MIN_HCCL_CONNECT), MAX_HCCL_CONNECT)))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH", "")]))
    if not job.rank_table:
        environment.update(
            MS_WORKER_NUM=str(job.group_size), MS_SCHED_HOST=job.master, MS_SCHED_PORT=str(job.port),
            MS_TOPO_TIMEOUT=str(int(job.timeout)),
        )  # fmt: skip
    return environment


def program_lines(text: str) -> list[str]:
    """The lines of a log without MindSpore's own notes on connections, which come even with GLOG_v=3."""
    return [line for line in text.splitlines() if line.strip() and not line.startswith("[INFO] ")]


def cause_in(text: str) -> str:
    """What a log says of the end of its program: its `error:` line, the exception of a traceback, or the last line."""
    lines = [line.strip() for line in program_lines(text)]
    hints = [f" ({code}: {hint})" for code, hint in HCCL_HINTS.items() if code in text]
    return _cause(lines) + "".join(hints)


def _cause(lines: list[str]) -> str:
    for pattern in (r"error: (.*)", r"((?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*)"):
        for line in reversed(lines):
            if match := re.fullmatch(pattern, line):
                return match.group(1)
    return lines[-1] if lines else "it wrote nothing"
