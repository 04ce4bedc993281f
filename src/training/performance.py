"""How fast training is: some steps after a warm-up, without evaluation and checkpoints."""

import time
from collections.abc import Callable

import numpy as np
from mindspore import dataset as ds

from ..log import log
from ..progress import beat
from .epochs import Epochs
from .run_folder import RunFolder

WARM_UP_STEPS = 10  # compiling, filling of queues
_BLOCKS = 10  # parts of the steps that are timed: waiting for the device after every step would slow it down


def measure(epochs: Epochs, pipelines: Callable[[int], ds.Dataset], count: int, folder: RunFolder) -> dict[str, float]:
    """Trains `count` steps after the warm-up and reports images per second, data waiting included.

    Args:
        pipelines: function of the epoch's number, from 0.
        count: how many steps are timed.

    Returns:
        `img_per_s` (median), `img_per_s_p10`, `img_per_s_p90`, `ms_per_step` (median), `steps`.
    """
    size = max(1, count // _BLOCKS)
    ends: list[tuple[int, float]] = []  # steps, time

    def after_step(done: int) -> bool:
        enough = done >= WARM_UP_STEPS + count
        if done >= WARM_UP_STEPS and (enough or not ends or done - ends[-1][0] >= size):
            epochs.tally.rows.asnumpy()  # waits for the device
            ends.append((done, time.perf_counter()))
        return enough

    train_steps(epochs, pipelines, after_step)
    done, times = np.array(ends).T
    seconds = np.diff(times) / np.diff(done)
    slow, median, fast = epochs.steps.geometry.images_per_step / np.percentile(seconds, [90, 50, 10])
    result = {
        "img_per_s": round(float(median), 2),
        "img_per_s_p10": round(float(slow), 2),
        "img_per_s_p90": round(float(fast), 2),
        "ms_per_step": round(1000 * float(np.median(seconds)), 2),
        "steps": count,
    }
    log.info(
        "performance: %.2f img/s (median of %d steps after %d, 10th to 90th percentile %.2f to %.2f), %.2f ms/step",
        median, count, WARM_UP_STEPS, slow, fast, result["ms_per_step"],
    )  # fmt: skip
    folder.metrics.write("performance", step=epochs.steps.step, **result)
    folder.write_result([f"{key}: {value}" for key, value in result.items()])
    return result


def train_steps(epochs: Epochs, pipelines: Callable[[int], ds.Dataset], after_step: Callable[[int], bool]) -> None:
    """Trains, epoch after epoch, until `after_step`, which gets the number of steps done, says that it is enough."""
    steps, tally, enough = epochs.steps, epochs.tally, False

    def after_batches(batches: int) -> bool:
        nonlocal enough
        beat()
        if not steps.count(batches):
            return False
        enough = after_step(steps.step)
        if enough or steps.is_due or steps.at_epoch_end:
            steps.check(tally.read(steps.unread))
            steps.log()
        return enough

    epoch = 0
    while not enough:
        epochs.run(pipelines(epoch), 0, lambda: None, after_batches)
        epoch += 1
