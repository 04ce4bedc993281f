"""What a run says: plain lines on the screen and in a file, events in metrics.jsonl."""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Optional

from tqdm import tqdm

from .errors import UserError, printable

log = logging.getLogger("resnet_zoo")


class _Lines(logging.Formatter):
    """One line per message, whatever the names in it hold."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        return printable(super().formatMessage(record))


class _ScreenHandler(logging.Handler):
    """Writes lines above a progress bar, where there is one: results to stdout, warnings to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        stream = sys.stderr if record.levelno >= logging.WARNING or self.everything_to_stderr else sys.stdout
        tqdm.write(self.format(record), file=stream)
        stream.flush()

    def __init__(self, everything_to_stderr: bool):
        super().__init__()
        self.setFormatter(_Lines())
        self.everything_to_stderr = everything_to_stderr


def start_log(file: Optional[Path] = None, stdout_is_data: bool = False) -> None:
    """Sends log lines to the screen, and with date and time to `file`.

    Args:
        stdout_is_data: keeps stdout for JSON lines; all log lines go to stderr.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names need not be text
    log.handlers.clear()
    log.setLevel(logging.INFO)
    log.propagate = False
    logging.raiseExceptions = False  # a log file on a full disk must not add tracebacks to the error
    log.addHandler(_ScreenHandler(stdout_is_data))
    if file:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(file, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UserError(f"ckpt_path: cannot write '{file}': {error.strerror}; choose another folder") from None
        handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)


class Metrics:
    """Appends events to a file of JSON lines, each complete when `write` returns, and their numbers to TensorBoard's files.

    Args:
        path: the file of JSON lines.
        tensorboard: folder of TensorBoard's event files, or None.
        first_step: steps that a resumed run has done; TensorBoard forgets what the interrupted one did after them.
        always: values that every line gets.
    """

    def __init__(self, path: Path, tensorboard: Optional[Path] = None, first_step: int = 0, **always):
        self.path = path
        self.always = always
        if not _ends_with_newline(path):
            self._append("\n")  # an interrupted run was killed within a line
        self.events = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self.events = SummaryWriter(str(tensorboard), purge_step=first_step + 1 if first_step else None)

    def write(self, event: str, **values) -> None:
        """Adds one line: the event's name, the time in seconds since 1970, and the values."""
        self._append(json.dumps({"event": event, "time": round(time.time(), 3), **self.always, **values}) + "\n")
        if self.events and "step" in values:
            for name, value in values.items():
                if isinstance(value, (int, float)) and name != "step":
                    self.events.add_scalar(f"{event}/{name}", value, values["step"])
            self.events.flush()

    def _append(self, text: str) -> None:
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text)


def _ends_with_newline(path: Path) -> bool:
    if not path.exists() or not path.stat().st_size:
        return True
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"
