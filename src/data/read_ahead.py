"""Reads images ahead of their use: several at once, a bounded number, in order."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, TimeoutError
from typing import Any, NamedTuple, Optional

from ..config import Config
from ..errors import UserError

_WAITING = 2  # images per reader that lie ready, or are under way, at most


class HangingError(UserError):
    """An image whose reading did not end in time."""


class Reading(NamedTuple):
    """How images are read; what is read does not depend on it.

    Attributes:
        readers: how many at once.
        timeout: seconds after which one counts as hanging.
    """

    readers: int = 16
    timeout: float = 300.0

    @classmethod
    def of(cls, config: Config) -> "Reading":
        """As the configuration asks for."""
        return cls(config.readers, config.reading_timeout)


def read_ahead(read: Callable[[int], Any], count: int, reading: Reading, name: Callable[[int], str]) -> Iterator[Any]:
    """read(0), read(1), ... read(count - 1), in this order; what is ahead is under way in other threads.

    Args:
        name: what message calls number i.

    Raises:
        HangingError: a read did not end in time.
        Exception: whatever `read` raised, in its turn.
    """
    # No pool of concurrent.futures: it would wait for its threads when the program ends, and one that hangs never ends.
    tasks: queue.SimpleQueue[Optional[tuple[int, Future[Any]]]] = queue.SimpleQueue()
    readers = min(reading.readers, count)
    for _ in range(readers):
        threading.Thread(target=_work, args=(read, tasks), name="reader", daemon=True).start()
    pending: deque[Future[Any]] = deque()
    try:
        for number in range(count + _WAITING * readers):
            if number < count:
                pending.append(Future())
                tasks.put((number, pending[-1]))
            if number >= _WAITING * readers:
                yield _result(pending.popleft(), reading.timeout, name, number - _WAITING * readers)
    finally:
        for future in pending:
            future.cancel()
        for _ in range(readers):
            tasks.put(None)


def _result(future: "Future[Any]", timeout: float, name: Callable[[int], str], number: int) -> Any:
    try:
        return future.result(timeout)  # all before it are read: it is under way
    except TimeoutError:
        if future.done():  # just now, or the read itself raised it
            return future.result()
        raise HangingError(
            f"{name(number)}: reading did not end within {timeout:g} s (reading_timeout); is its file system still there?"
        ) from None


def _work(read: Callable[[int], Any], tasks: "queue.SimpleQueue[Optional[tuple[int, Future[Any]]]]") -> None:
    """What a reader does until it is told that there is no more."""
    while task := tasks.get():
        number, future = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(read(number))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the result is told
                future.set_exception(error)
