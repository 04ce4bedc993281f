"""How the ranks fare: what each server says of its own, and what server 0 concludes from what all say."""

import time
from typing import Any, Optional

from .job import HANG_EXIT_CODE, Failure, Job
from .processes import Process, RankProcess

EXIT_GRACE_SECONDS = 120.0  # a rank may end this long before the others show their next sign of life
MAX_IDLE_SECONDS = 1e9  # what JSON knows as NaN and Infinity is no number of seconds


def local_failure(job: Job, ranks: list[RankProcess], scheduler: Optional[Process], started: float) -> Optional[Failure]:
    """A rank of this server that ended badly or did not join, or a scheduler that failed.

    Args:
        started: when the ranks were started, of time.monotonic.
    """
    failures = [failure for rank in ranks if (failure := rank.failure())]
    if failures:
        # One that was killed explains the others; then the one whose mistake needs no retry.
        return min(failures, key=lambda f: (f.code <= 128, f.restartable, f.rank))
    if scheduler and scheduler.exit_code():
        code, log = scheduler.exit_code(), str(scheduler.log)
        return Failure(-1, job.server, f"the scheduler ended with exit code {code}", log, abs(code or 1))
    missing = [rank for rank in ranks if not rank.beats and rank.exit_code() is None]
    if missing and time.monotonic() - started > job.timeout:
        worst = min(missing, key=lambda rank: (not rank.is_stopped(), rank.rank))
        stopped = ", it is stopped (SIGSTOP)" if worst.is_stopped() else ""
        cause = f"did not join the other ranks within {job.timeout:g} s{stopped}"
        return worst.failed(f"{cause}; raise --timeout if it needs longer", HANG_EXIT_CODE)
    return None


def status_of(ranks: list[RankProcess]) -> dict[str, Any]:
    """How the ranks of this server fare, for server 0, which decides."""
    running = [rank for rank in ranks if rank.exit_code() is None]
    ended = [rank for rank in ranks if rank.exit_code() == 0]
    idle = min((rank.idle() for rank in [*running, *ended]), default=0.0)
    status: dict[str, Any] = {"running": len(running), "idle": idle}
    if ended:
        status["ended"] = ended[0].failed("ended with exit code 0 while others were still at work", 1).as_message()
    if running:
        worst = min(running, key=lambda rank: (not rank.is_stopped(), rank.beats, rank.rank))
        what = "is stopped (SIGSTOP)" if worst.is_stopped() else f"is at beat {worst.beats}"
        status["slowest"] = worst.failed(what, HANG_EXIT_CODE).as_message()
        status["order"] = [not worst.is_stopped(), worst.beats]
        status["most_beats"] = max(rank.beats for rank in running)
    return status


def job_failure(job: Job, statuses: dict[int, dict[str, Any]]) -> Optional[Failure]:
    """Why server 0 ends the job: no rank of any server shows signs of life, or one left early.

    Args:
        statuses: `status_of` each server that has reported, by node.
    """
    at_work = [status for status in statuses.values() if status["running"]]
    if not at_work or len(statuses) < job.nodes:
        return None
    idle = min(status["idle"] for status in statuses.values())
    ended = [status["ended"] for status in statuses.values() if "ended" in status]
    if ended and idle > min(EXIT_GRACE_SECONDS, job.hang_timeout):
        return Failure.from_message(ended[0])
    if idle > job.hang_timeout:
        slowest = min(at_work, key=lambda status: status["order"])
        failure = Failure.from_message(slowest["slowest"])
        cause = f"no rank made progress for {job.hang_timeout:g} s; this one {failure.cause}"
        if all(status["order"] == [True, status["most_beats"]] == slowest["order"] for status in at_work):
            cause += ", as are the others; the logs of all ranks end with where each one is"
        return Failure(failure.rank, failure.server, cause, failure.log, HANG_EXIT_CODE)
    return None


def is_status(status: Any) -> bool:
    """Whether a status from another launcher has the shape of `status_of`."""
    if not isinstance(status, dict) or not isinstance(status.get("running"), int):
        return False
    order = status.get("order", [True, 0])
    numbers = isinstance(order, list) and len(order) == 2 and all(isinstance(n, int) for n in order)
    idle = status.get("idle")
    shows_idle = isinstance(idle, (int, float)) and 0 <= idle < MAX_IDLE_SECONDS
    return shows_idle and numbers and (not status["running"] or {"order", "slowest", "most_beats"} <= set(status))
