"""Stopping well: a signal or the time limit ends the run after the present step, never in the middle of one."""

import math
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, Optional

from ..config import Config
from ..model_info import Best

_TIMED_OUT = 124  # exit code of timeout(1)
STOP_CODES = (_TIMED_OUT, 128 + signal.SIGINT, 128 + signal.SIGTERM)
READ_SECONDS = 10.0  # after about as long at most, a rank looks whether another one was asked to stop


def stops_early(config: Config, epoch: int, best: Best) -> bool:
    """Whether the accuracy has not risen for the number of evaluations that `early_stop` allows.

    Args:
        epoch: number of the present epoch, from 1.
        best: the best evaluation so far.
    """
    if not config.early_stop or best.epoch is None:
        return False
    return (epoch - best.epoch) // config.eval_interval >= config.early_stop


class StopRequests:
    """Notes SIGTERM, SIGINT (Ctrl-C) and the end of the time allowed; a Ctrl-C after a signal interrupts at once.

    A context manager: the signals' former handlers come back at its end.

    Args:
        minutes: time allowed from now on; 0: no limit.
    """

    def __init__(self, minutes: float):
        self.deadline = time.monotonic() + 60 * minutes if minutes else None
        self.minutes = minutes
        self.signal = 0
        self._former: dict[int, Any] = {}

    def __enter__(self) -> "StopRequests":
        for number in (signal.SIGTERM, signal.SIGINT):
            self._former[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        """Whether to stop after the present step."""
        return bool(self.signal) or (self.deadline is not None and time.monotonic() >= self.deadline)

    @property
    def reason(self) -> str:
        """Who asked for it; with several processes it may have been another one."""
        if not self.requested:
            return "another process's request"
        return signal.Signals(self.signal).name if self.signal else f"time_limit, {self.minutes:g} minutes"

    @property
    def exit_code(self) -> int:
        """128 + signal, as shells count it, or that of timeout(1)."""
        return 128 + self.signal if self.signal else _TIMED_OUT

    def _note(self, number: int, frame: Optional[FrameType]) -> None:
        if self.signal and number == signal.SIGINT:  # a cluster may send SIGTERM to a rank that its launcher sent one to
            raise KeyboardInterrupt
        self.signal = self.signal or number


class Agreement:
    """How ranks agree on the step to stop after, without a collective of its own.

    Every rank sends notes with its gradients: whether it was asked to stop, and whether it will read, after this step, what
    all have noted so far. All ranks read at certain steps anyway (those that are logged, say); where these lie more than
    `READ_SECONDS` apart, a rank reads besides at the multiples of a power of two, which its own speed decides. Only a step
    after which every rank has noted that it reads counts: there all know the same and decide the same.

    Args:
        ranks: how many there are.
        log_interval: steps between those after which all ranks read anyway.
    """

    def __init__(self, requests: StopRequests, ranks: int, log_interval: int):
        self.requests = requests
        self.ranks = ranks
        self.log_interval = log_interval
        self.asked = 0  # the highest exit code that any rank has noted in what was read
        self.will_read = False  # after the present step

    def notes(self, step: int, seconds: float) -> list[float]:
        """What this rank says with a step.

        Args:
            step: its number, from 1.
            seconds: what a step takes here as a rule; 0: not known yet.
        """
        apart = 2.0 ** max(0, math.floor(math.log2(READ_SECONDS / seconds))) if seconds else math.inf
        self.will_read = apart < self.log_interval and step % apart == 0
        code = self.requests.exit_code if self.requests.requested else 0
        return [float(code == one) for one in STOP_CODES] + [float(self.will_read)]

    def stop_code(self, notes: Sequence[Sequence[float]], all_read: bool) -> int:
        """The exit code with which all ranks end after the present step, or 0.

        Args:
            notes: those of all ranks added up, of every batch since the last reading.
            all_read: whether the present step is one after which every rank reads anyway.
        """
        for batch in notes:
            self.asked = max([self.asked, *(code for code, count in zip(STOP_CODES, batch) if count)])
        return self.asked if all_read or notes[-1][-1] == self.ranks else 0
