"""Where the time within a step goes: a trace of some steps by MindSpore's profiler, and the operators that cost most."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from mindspore import dataset as ds
from mindspore import profiler

from ..errors import UserError
from ..log import log
from .epochs import Epochs
from .performance import WARM_UP_STEPS, train_steps

_MOST = 10  # operators that are listed


def trace(epochs: Epochs, pipelines: Callable[[int], ds.Dataset], count: int, folder: Path, platform: str) -> None:
    """Trains `count` steps after the warm-up under the profiler, and lists the costliest operators.

    Args:
        pipelines: function of the epoch's number, from 0.
        count: how many steps are traced.
        folder: for the trace, which chrome://tracing, Perfetto and MindStudio Insight show.
        platform: "Ascend", "GPU" or "CPU".

    Raises:
        UserError: the profiler wrote nothing.
    """
    device = {"Ascend": "NPU"}.get(platform, platform)
    activities = dict.fromkeys((profiler.ProfilerActivity.CPU, profiler.ProfilerActivity[device]))
    folder.mkdir(parents=True, exist_ok=True)
    recorder = profiler.profile(
        activities=list(activities), start_profile=False, on_trace_ready=profiler.tensorboard_trace_handler(str(folder))
    )

    def after_step(done: int) -> bool:
        if done == WARM_UP_STEPS:
            recorder.start()
        return done >= WARM_UP_STEPS + count

    earlier = set(folder.rglob("trace_view.json"))
    train_steps(epochs, pipelines, after_step)
    recorder.stop()
    found = sorted(set(folder.rglob("trace_view.json")) - earlier)
    if not found:
        raise UserError(f"profile: MindSpore's profiler wrote no trace to '{folder}'; its log there says why")
    log.info("profile: %d steps after %d, trace: %s", count, WARM_UP_STEPS, found[-1])
    for line in costliest(found[-1], count):
        log.info("%s", line)


def costliest(trace_file: Path, steps: int) -> list[str]:
    """A table of the operators that took most time, by type: milliseconds and calls per step, share of all operators.

    Args:
        trace_file: trace_view.json of the profiler, beside which Ascend has kernel_details.csv.
        steps: that were traced.
    """
    seconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for kind, duration in _operators(trace_file):
        seconds[kind] += duration  # type: ignore[assignment]  # a Counter of floats
        calls[kind] += 1
    total = sum(seconds.values()) or 1
    head = f"{'operator':<40}{'ms/step':>10}{'calls/step':>12}{'share':>8}"
    return [head] + [
        f"{kind:<40}{1000 * taken / steps:>10.2f}{calls[kind] / steps:>12.1f}{taken / total:>8.1%}"
        for kind, taken in seconds.most_common(_MOST)
    ]


def _operators(trace_file: Path) -> Iterator[tuple[str, float]]:
    """Type and seconds of each operator that ran."""
    kernels = trace_file.with_name("kernel_details.csv")
    if kernels.exists():
        with open(kernels, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield row["Type"], float(row["Duration(us)"]) / 1e6
        return
    for event in json.loads(trace_file.read_text(encoding="utf-8")):
        if event.get("ph") == "X" and "type" in event.get("args", {}):  # named "Default/network-ResNet/.../Conv2D-op12"
            yield re.sub(r"-op\d+$", "", event["name"].rpartition("/")[2]), float(event["dur"]) / 1e6
