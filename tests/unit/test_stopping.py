import signal
import time

import numpy as np
import pytest

from src.training.stopping import READ_SECONDS, Agreement, StopRequests


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 143), (signal.SIGINT, "SIGINT", 130)])
def test_a_signal_is_noted_and_ends_nothing_by_itself(number, name, code):
    before = signal.getsignal(number)
    with StopRequests(minutes=0) as requests:
        assert not requests.requested
        signal.raise_signal(number)
        assert requests.requested and requests.reason == name and requests.exit_code == code
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_ctrl_c_after_a_signal_interrupts_at_once(first):
    with pytest.raises(KeyboardInterrupt), StopRequests(minutes=0):
        signal.raise_signal(first)
        signal.raise_signal(signal.SIGINT)


def test_a_second_sigterm_changes_nothing():
    with StopRequests(minutes=0) as requests:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert requests.reason == "SIGINT" and requests.exit_code == 130


def test_the_time_allowed_ends():
    with StopRequests(minutes=0.05 / 60) as requests:
        assert not requests.requested
        time.sleep(0.06)
        assert requests.requested and "time_limit" in requests.reason and requests.exit_code == 124


SPEEDS = (0.01, 0.4, 3.0, 60.0)  # seconds per step


@pytest.mark.parametrize("seconds", [(a, b) for a in SPEEDS for b in SPEEDS] + [(0.0, 3.0), (0.63, 0.62)])
def test_ranks_of_any_speeds_decide_at_the_same_step_what_all_of_them_have_read(seconds):
    """Ranks as the loop has them: a note with every step, and reading where each one reads by itself."""
    log_interval, asked_at = 50, 11
    requests = [StopRequests(minutes=0) for _ in seconds]
    ranks = [Agreement(request, len(seconds), log_interval) for request in requests]
    unread: list = [[] for _ in ranks]
    for step in range(1, 200):
        if step == asked_at:
            requests[1].signal = signal.SIGTERM
        notes = np.sum([rank.notes(step, own) for rank, own in zip(ranks, seconds)], axis=0).tolist()
        codes = []
        for rank, rows in zip(ranks, unread):
            rows.append(notes)
            all_read = step % log_interval == 0
            codes.append(rank.stop_code(rows, all_read) if all_read or rank.will_read else 0)
            if all_read or rank.will_read:
                rows.clear()
        if any(codes):
            break
    assert codes == [143, 143] and step >= asked_at
    slowest = min(seconds) or 0.01  # who reads seldom decides
    assert step <= log_interval and (step - asked_at) * slowest <= 2 * READ_SECONDS or step == log_interval


def test_fast_steps_are_never_read_between_log_lines():
    agreement = Agreement(StopRequests(minutes=0), 2, 50)
    assert not any(agreement.notes(step, 0.05)[-1] for step in range(1, 500))
    assert [step for step in range(1, 17) if agreement.notes(step, 2.0)[-1]] == [4, 8, 12, 16]
