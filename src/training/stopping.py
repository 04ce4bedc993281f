"""Stopping well: a signal or the time limit ends the run after the present step, never in the middle of one."""

import signal
import time
from types import FrameType
from typing import Any, Optional

from ..config import Config
from ..model_info import Best

_TIMED_OUT = 124  # exit code of timeout(1)


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
