"""Progress as people and as the launcher see it: bars on the terminal, signs of life in a rank's heartbeat file."""

import contextlib
import faulthandler
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

VARIABLE = "RESNET_ZOO_HEARTBEAT"  # names the file; set by the launcher, one for each rank
_beats = 0


def bar(iterable: Iterable[Any] = (), **kwargs: Any) -> "tqdm[Any]":
    """tqdm's progress bar, where the output for people is a terminal."""
    return tqdm(iterable, disable=not sys.stderr.isatty(), **kwargs)


def beat() -> None:
    """Counts one more sign of life in this rank's heartbeat file: a step, a batch, a saved file, files checked or copied.

    The launcher ends a job in which no rank beats for its --hang_timeout. Does nothing where no launcher watches.
    """
    global _beats  # noqa: PLW0603 - a process is one rank
    path = os.environ.get(VARIABLE)
    if path:
        if not _beats:
            faulthandler.register(signal.SIGUSR1, file=2)  # the launcher of a job that hangs asks where it hangs
        _beats += 1
        with contextlib.suppress(OSError), open(path, "w", encoding="ascii") as file:  # a full disk must not end a run
            file.write(str(_beats))
