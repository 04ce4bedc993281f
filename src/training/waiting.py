"""Where the time of training goes: what steps take, and which part of it they wait for data."""

import time
from typing import NamedTuple

TOO_LONG = 0.1  # share of waiting above which there is something to gain


class Pace(NamedTuple):
    """How steps went.

    Attributes:
        seconds: what one took, waiting included.
        waiting: the share of it in which it waited for its images, 0 to 1.
        waited: seconds that all of them waited together.
    """

    seconds: float
    waiting: float
    waited: float = 0.0

    @property
    def waits_too_long(self) -> bool:
        """Whether there is something to gain: less than a second is what starting an epoch takes."""
        return self.waiting > TOO_LONG and self.waited > 1


class Clock:
    """Times steps; what else happens between them (evaluations, checkpoints) does not count.

    A batch begins with `wait`, when the last one is done with, and `begin`, when its images have come; `count` and `read`
    follow when it was handed to the device and when its outcome was fetched. A device that computes meanwhile makes the
    next `count` or `read` wait. The first step, which is compiled, counts only where there is no other.
    """

    def __init__(self):
        self.total = 0.0  # seconds of all steps
        self._waited = self._worked = 0.0  # since the last `pace`
        self._steps = 0
        self._compiled = 0.0  # the seconds of the first step; 0: it is not over
        self._last = Pace(0.0, 0.0)
        self._now = time.perf_counter()

    def wait(self) -> None:
        """The step or whatever came after it is over."""
        self._now = time.perf_counter()

    def begin(self) -> None:
        """The images of a batch have come."""
        self._waited += self._passed()

    def count(self, steps: int) -> None:
        """The device has a batch, which ended so many steps."""
        self._worked += self._passed()
        self._steps += steps
        if steps and not self._compiled:
            self._compiled = self._worked
            self._waited = self._worked = 0.0
            self._steps = 0

    def read(self) -> None:
        """What the device had to tell was fetched."""
        self._worked += self._passed()

    @property
    def step_seconds(self) -> float:
        """What a step takes as a rule, the first one left out; 0: not known yet."""
        return (self._waited + self._worked) / self._steps if self._steps else self._last.seconds

    def pace(self) -> Pace:
        """The pace since the last call."""
        seconds = self._waited + self._worked
        if self._steps:
            self._last = Pace(seconds / self._steps, self._waited / seconds, self._waited)
        pace = self._last if self._steps else Pace(self._compiled, 0.0)
        self._waited = self._worked = 0.0
        self._steps = 0
        return pace

    def _passed(self) -> float:
        """Seconds since the last event."""
        before, self._now = self._now, time.perf_counter()
        self.total += self._now - before
        return self._now - before


def advice(workers: int, cores: int, kind: str) -> str:
    """What may help where steps wait for data.

    Args:
        workers: threads of the input pipeline.
        cores: that this process may use.
        kind: of the images (`ImageIndex.images.kind`).
    """
    helps = [f"raise num_parallel_workers from {workers} to {cores}"] if workers < cores else []
    if kind == "folder":
        helps.append("pack the files of slow storage with python -m src.data.tools.prepare to_mindrecord")
    helps.append("see 'How fast it trains' in docs/training.md")
    return f"more than {TOO_LONG:.0%} of the time goes into waiting for data: {'; '.join(helps)}"
