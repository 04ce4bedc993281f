"""The sign of life that a rank leaves for its launcher (src/launch/command.py)."""

import contextlib
import faulthandler
import os
import signal

VARIABLE = "RESNET_ZOO_HEARTBEAT"  # names the file; set by the launcher, one for each rank
_beats = 0


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
