import logging
import time

import numpy as np
import pytest

from src.training import waiting
from src.training.step_log import Geometry, StepLog
from src.training.waiting import Clock, Pace, advice


@pytest.fixture
def clock(monkeypatch):
    """A clock whose time is what the test says."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clock = Clock()
    clock.passes = lambda seconds: now.__setitem__(0, now[0] + seconds)
    return clock


def batch(clock, waited, worked, steps=1):
    clock.wait()
    clock.passes(waited)
    clock.begin()
    clock.passes(worked)
    clock.count(steps)


def test_waiting_is_told_from_work_and_what_happens_between_steps_from_both(clock):
    batch(clock, 0.5, 30.0)  # compiled
    for _ in range(4):
        batch(clock, 0.1, 0.2, steps=0)  # two batches per step
        batch(clock, 0.1, 0.2)
        clock.passes(100.0)  # an evaluation
    assert clock.step_seconds == pytest.approx(0.6)
    clock.wait()
    pace = clock.pace()
    assert pace.seconds == pytest.approx(0.6) and pace.waiting == pytest.approx(1 / 3)
    assert clock.step_seconds == pytest.approx(0.6)  # until the next step is over
    assert clock.total == pytest.approx(30.5 + 4 * 0.6)


def test_the_time_in_which_the_device_is_waited_for_is_work(clock):
    batch(clock, 0.0, 1.0)
    batch(clock, 0.1, 0.1)
    clock.passes(0.8)
    clock.read()
    assert clock.pace() == pytest.approx((1.0, 0.1, 0.1))


def test_the_first_step_counts_where_there_is_no_other(clock):
    batch(clock, 0.0, 20.0)
    assert clock.step_seconds == 0
    assert clock.pace() == (20.0, 0.0, 0.0)


def test_advice_names_what_can_still_be_raised():
    assert "num_parallel_workers from 4 to 8" in advice(4, 8, "folder") and "to_mindrecord" in advice(4, 8, "folder")
    assert "num_parallel_workers" not in advice(8, 8, "mindrecord") and "to_mindrecord" not in advice(8, 8, "mindrecord")
    assert f"{waiting.TOO_LONG:.0%}" in advice(1, 1, "folder")


class Events(list):
    """Stands in for `Metrics`: keeps what is written."""

    def write(self, event, **values):
        self.append({"event": event, **values})


def test_every_line_says_how_long_steps_waited_and_one_line_what_helps(monkeypatch, caplog):
    events, paces = Events(), [Pace(0.2, 0.05, 9), Pace(0.2, 0.5, 0.9), Pace(0.2, 0.5, 9), Pace(0.2, 0.9, 9)]
    steps = StepLog(np.full(4, 0.1, np.float32), Geometry(1, 4, 1, 8), 1, events, advice="what helps")
    monkeypatch.setattr(steps.clock, "pace", lambda: paces.pop(0))
    monkeypatch.setattr(logging.getLogger("resnet_zoo"), "propagate", True)
    with caplog.at_level(logging.INFO, "resnet_zoo"):
        for _ in range(4):
            steps.count()
            steps.check(np.array([[1.5, 1, 1024]], np.float32))
            steps.log()
    assert [event["waiting"] for event in events] == [0.05, 0.5, 0.5, 0.9] and events[0]["img_per_s"] == 40
    lines = list(dict.fromkeys(record.getMessage() for record in caplog.records))  # a second handler would show them twice
    assert ["waiting for data" in line for line in lines] == [True, True, True, False, True] and lines[3] == "what helps"
    assert "40.0 img/s 200.0 ms/step, 50 % of it waiting for data" in lines[1]
