"""Runs one job on this server: starts its ranks, watches them together with the other servers, ends and restarts them."""

import contextlib
import signal
import sys
import time
from typing import Any, Optional

from . import health, peers
from .channel import Peer
from .job import HANG_EXIT_CODE, Failure, Job, interrupted, shown
from .processes import (
    Guard,
    Process,
    RankProcess,
    end,
    let_finish,
    program_lines,
    start_ranks,
    start_scheduler,
    write_stacks,
)

POLL_SECONDS = 0.1
REPORT_SECONDS = 1.0
PORT_SECONDS = 10.0  # for the port of the attempt before
DECISION_SECONDS = 30.0  # server 0 answers a failure once all ranks of all servers have ended
TAIL_LINES = 15


class _Stopped(Exception):  # noqa: N818 - not an error
    """SIGTERM, SIGINT or SIGHUP arrived."""


def run(job: Job) -> int:
    """Runs the job to its end.

    Returns:
        0, or the failed rank's exit code (128 + signal where it was killed); the last lines on stderr say why.

    Raises:
        UserError: a port is taken, or servers did not come in time.
    """
    with _Launch(job) as launch:
        return launch.run()


class _Launch:
    """The state of one launcher."""

    def __init__(self, job: Job):
        self.job = job
        self.peers: list[Peer] = []  # server 0: all others by node; others: server 0
        self.ranks: list[RankProcess] = []
        self.scheduler: Optional[Process] = None
        self.guard: Optional[Guard] = None
        self.stopped_by = 0
        self.hurried = False  # Ctrl-C came again
        self.finished = False  # server 0 has said that the job is done
        self.told_to_end = False  # server 0 has said that this attempt is over
        self.statuses: dict[int, dict[str, Any]] = {}
        self._handlers: dict[int, Any] = {}
        self._reported = 0.0
        self._shown = 0

    def __enter__(self) -> "_Launch":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a background job of a script
                self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_) -> None:
        self._end_processes()
        for peer in self.peers:
            peer.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def run(self) -> int:
        job = self.job
        job.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            if job.node == 0:
                if not job.rank_table:
                    peers.check_port(job.master, job.port)
                if job.nodes > 1:
                    self.peers = peers.gather(job, self._check_stopped)
                    self._tell("joined")
            else:
                self.peers = [peers.join(job, self._check_stopped)]
        except _Stopped:
            return self._finish(interrupted(job.server, self.stopped_by))
        attempt = 0
        while True:
            failure = self._attempt(attempt)
            if failure:
                # server 0 passes it on; the others tell server 0, before the seconds that ending takes
                self._tell("end" if job.node == 0 else "failed", failure=failure.as_message())
                if failure.code == HANG_EXIT_CODE and not failure.asked:
                    write_stacks(self.ranks)
                if failure.asked:
                    self._let_finish(failure)
            self._end_processes()
            restart = self._agree(failure, attempt)
            if failure is None or not restart:
                return self._finish(failure)
            attempt += 1
            self._show_tail(failure)
            print(f"{failure}\nrestart {attempt} of {job.max_restarts}", file=sys.stderr, flush=True)
            time.sleep(job.restart_pause)

    def _attempt(self, attempt: int) -> Optional[Failure]:
        """Starts the ranks and watches until all ranks of all servers have ended well, or one failed."""
        job = self.job
        try:
            self._check_stopped()
            if job.node == 0 and not job.rank_table:
                peers.check_port(job.master, job.port, PORT_SECONDS)
                self.scheduler = start_scheduler(job, attempt)
            self.ranks = start_ranks(job, attempt)
            self.guard = Guard([*self.ranks, *([self.scheduler] if self.scheduler else [])])
            logs = f"{job.log_dir}/rank_*{f'.restart{attempt}' if attempt else ''}.log"
            numbers = f"{job.ranks[0].rank} to {job.ranks[-1].rank} of {job.group_size}"
            print(shown(f"server {job.server}: ranks {numbers} started; logs: {logs}"), flush=True)
            self._shown = 0
            self.statuses, self.finished = {}, False
            self.told_to_end = False
            started = time.monotonic()
            for peer in self.peers:
                peer.heard = started
            while True:
                self._check_stopped()
                for rank in self.ranks:
                    rank.look()
                self._show_first_rank()
                failure = health.local_failure(job, self.ranks, self.scheduler, started) or self._from_peers()
                if failure:
                    return failure
                if job.node == 0:
                    self.statuses[0] = health.status_of(self.ranks)
                    failure = health.job_failure(job, self.statuses)
                    if failure:
                        return failure
                    if len(self.statuses) == job.nodes and not any(s["running"] for s in self.statuses.values()):
                        return None
                elif self.finished:
                    return None
                self._report()
                time.sleep(POLL_SECONDS)
        except _Stopped:
            return interrupted(job.server, self.stopped_by)

    def _from_peers(self) -> Optional[Failure]:
        """Reads what the other launchers said."""
        for peer in self.peers:
            for message in peer.receive():
                if message["kind"] in ("failed", "end"):
                    self.told_to_end = message["kind"] == "end"
                    return Failure.from_message(message.get("failure"))
                if message["kind"] == "finished":
                    self.finished = True
                    return None
                if message["kind"] == "status" and health.is_status(message.get("status")):
                    self.statuses[peer.node] = message["status"]
            if peer.is_lost():
                which = f"node_rank {peer.node}" if self.job.node == 0 else f"0 at {self.job.master}"
                return Failure(-1, which, f"was lost: {peer.fault or 'its launcher ended or its network is down'}", "", 1)
        return None

    def _report(self) -> None:
        if self.peers and time.monotonic() - self._reported > REPORT_SECONDS:
            self._reported = time.monotonic()
            self._tell("status", status=health.status_of(self.ranks))

    def _agree(self, failure: Optional[Failure], attempt: int) -> bool:
        """Tells the other servers how this attempt ended; all restart or none does."""
        if self.job.node == 0:
            if failure is None:
                self._tell("finished")
                return False
            restart = failure.restartable and attempt < self.job.max_restarts
            restart = restart and self._all_ended()
            self._tell("restart" if restart else "give up")
            return restart
        if failure is None:
            return False
        if not self.told_to_end:
            self._wait_for(("end",))
        self._tell("ended")
        return self._wait_for(("restart", "give up")) == "restart"

    def _all_ended(self) -> bool:
        """Server 0: whether the ranks of all other servers have ended."""
        waiting = list(self.peers)
        deadline = time.monotonic() + DECISION_SECONDS
        while waiting and time.monotonic() < deadline and not self.stopped_by:
            for peer in list(waiting):
                if any(message["kind"] == "ended" for message in peer.receive()):
                    waiting.remove(peer)
                elif not peer.open:
                    return False
            time.sleep(POLL_SECONDS)
        return not waiting

    def _wait_for(self, kinds: tuple[str, ...]) -> str:
        """Another server: server 0's decision, '' when none comes."""
        deadline = time.monotonic() + DECISION_SECONDS
        while time.monotonic() < deadline and not self.stopped_by:
            for message in self.peers[0].receive():
                if message["kind"] in kinds:
                    return message["kind"]
            if not self.peers[0].open:
                break
            time.sleep(POLL_SECONDS)
        return ""

    def _finish(self, failure: Optional[Failure]) -> int:
        if failure is None:
            self._show_first_rank()
            print(shown(f"server {self.job.server}: all ranks ended well"), flush=True)
            return 0
        self._show_first_rank()
        self._show_tail(failure)
        print(f"error: {failure}", file=sys.stderr, flush=True)
        return failure.code if 0 < failure.code < 256 else 1

    def _show_first_rank(self) -> None:
        """Copies what this server's first rank has written since the last time to stdout."""
        with contextlib.suppress(OSError, IndexError), open(self.ranks[0].log, "rb") as file:
            file.seek(self._shown)
            new = file.read()
            self._shown += len(new)
            sys.stdout.write(new.decode("utf-8", errors="replace"))
            sys.stdout.flush()

    def _show_tail(self, failure: Failure) -> None:
        for rank in self.ranks:
            if rank.rank == failure.rank and str(rank.log) == failure.log:
                print(f"last lines of {rank.log}:", file=sys.stderr)
                for line in program_lines(rank.tail())[-TAIL_LINES:]:
                    print(f"  {shown(line)}", file=sys.stderr)

    def _let_finish(self, failure: Failure) -> None:
        """Gives ranks the time to finish their step and save; those that one of them has told need no signal."""
        if failure.rank < 0:
            for rank in self.ranks:
                rank.ask_to_stop()
        let_finish(self.ranks, self.job.stop_timeout, lambda: self.hurried)

    def _end_processes(self) -> None:
        if self.guard:
            self.guard.dismiss()
            self.guard = None
        end([*self.ranks, *([self.scheduler] if self.scheduler else [])])
        self.scheduler = None

    def _tell(self, kind: str, **content: Any) -> None:
        for peer in self.peers:
            peer.send(kind, **content)

    def _on_signal(self, number: int, _frame: Any) -> None:
        self.hurried = bool(self.stopped_by) and number == signal.SIGINT
        self.stopped_by = self.stopped_by or number

    def _check_stopped(self) -> None:
        if self.stopped_by:
            raise _Stopped
