"""Makes one rank of a run fail at one of its batches. Python imports this file where its folder is on PYTHONPATH.

RESNET_ZOO_FAULT is `<what>:<rank>:<batch>:<file>`: what happens in which rank after which batch, counted from 1 (in train.py
of training, in eval.py of evaluation), and a file that is written at that moment. Where the file is there already, nothing
happens: the fault does not come again after a restart.
"""

import os
import signal
import sys
import time
from pathlib import Path


def fail(what: str) -> None:
    """Ends or stops this process: an exception, an early end, or the signal of that name."""
    if what == "raise":
        raise RuntimeError("a fault made on purpose")
    if what == "exit0":
        raise SystemExit(0)
    os.kill(os.getpid(), getattr(signal, what))


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
    if os.environ.get("MS_ROLE") == "MS_WORKER" and os.environ.get("RANK_ID") == _rank:
        arm(_what, int(_batch), Path(_file))
