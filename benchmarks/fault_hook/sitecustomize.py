"""Makes one rank of a run fail, or its launcher stop, at one of its batches; imported by Python from a folder on PYTHONPATH.

RESNET_ZOO_FAULT is `<what>:<rank>:<batch>:<file>`: what happens in which rank after which batch, counted from 1 (in train.py
of training, in eval.py of evaluation), and a file that is written at that moment. Where the file is there already, nothing
happens: the fault does not come again after a restart. A run that no launcher started has no rank: `<what>::<batch>:<file>`.
"""

import os
import signal
import sys
import time
from pathlib import Path


def fail(what: str) -> None:
    """Ends or stops this process: an exception, an early end, the signal of that name, or the launcher's SIGTERM."""
    if what == "raise":
        raise RuntimeError("a fault made on purpose")
    if what == "exit0":
        raise SystemExit(0)
    if what == "launcher":
        stop_launcher()
    else:
        os.kill(os.getpid(), getattr(signal, what))


def stop_launcher() -> None:
    """Sends SIGTERM to the launcher and goes on once the launcher's own SIGTERM has come to this rank."""
    handler, arrived = signal.getsignal(signal.SIGTERM), []

    def note(*signal_and_frame) -> None:
        arrived.append(True)
        handler(*signal_and_frame)

    signal.signal(signal.SIGTERM, note)
    os.kill(os.getppid(), signal.SIGTERM)
    while not arrived:
        time.sleep(0.01)


def arm(what: str, batch: int, noted: Path) -> None:
    """Puts the fault behind the sign of life that follows every batch."""
    from src import progress

    beat, batches = progress.beat, 0

    def faulty_beat() -> None:
        nonlocal batches
        beat()
        counted = "src.training.loop" if Path(sys.argv[0]).name == "train.py" else "src.evaluation.evaluate"
        batches += sys._getframe(1).f_globals["__name__"] == counted
        if batches == batch and not noted.exists():
            noted.write_text(str(time.time()), encoding="ascii")
            fail(what)

    progress.beat = faulty_beat


_PLAN = os.environ.get("RESNET_ZOO_FAULT")
if _PLAN:
    _what, _rank, _batch, _file = _PLAN.split(":", 3)
    if _rank == (os.environ["RANK_ID"] if os.environ.get("MS_ROLE") == "MS_WORKER" else ""):
        arm(_what, int(_batch), Path(_file))
