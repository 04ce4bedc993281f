import signal
import time

import pytest

from src.training.stopping import StopRequests


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
