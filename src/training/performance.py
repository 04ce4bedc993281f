"""How fast training is: some steps after a warm-up, without evaluation and checkpoints."""

import time
from collections.abc import Callable

import mindspore as ms
import numpy as np
from mindspore import dataset as ds

from ..log import log
from ..progress import beat
from .loop import AfterBatch
from .run_folder import RunFolder
from .step import TrainStep
from .step_log import Batch, StepLog

_WARM_UP_STEPS = 10  # compiling, filling of queues


def measure(
    step: TrainStep, steps: StepLog, pipelines: Callable[[int], ds.Dataset], count: int, folder: RunFolder
) -> dict[str, float]:
    """Trains `count` steps after the warm-up and reports images per second, data waiting included.

    Args:
        pipelines: function of the epoch's number, from 0.
        count: how many steps are timed.

    Returns:
        `img_per_s` (median), `img_per_s_p10`, `img_per_s_p90`, `ms_per_step` (median), `steps`.
    """
    ends: list[float] = []

    def after_batch(batch: Batch) -> bool:
        beat()
        if steps.count(batch):
            steps.check()
            steps.log()
            ends.append(time.perf_counter())
        return len(ends) == _WARM_UP_STEPS + count

    model, epoch = ms.Model(step), 0
    while len(ends) < _WARM_UP_STEPS + count:
        model.train(1, pipelines(epoch), callbacks=AfterBatch(steps, after_batch), dataset_sink_mode=False)
        epoch += 1
    seconds = np.diff(ends)[_WARM_UP_STEPS - 1 :]
    slow, median, fast = steps.geometry.images_per_step / np.percentile(seconds, [90, 50, 10])
    result = {
        "img_per_s": round(float(median), 2),
        "img_per_s_p10": round(float(slow), 2),
        "img_per_s_p90": round(float(fast), 2),
        "ms_per_step": round(1000 * float(np.median(seconds)), 2),
        "steps": count,
    }
    log.info(
        "performance: %.2f img/s (median of %d steps after %d, 10th to 90th percentile %.2f to %.2f), %.2f ms/step",
        median, count, _WARM_UP_STEPS, slow, fast, result["ms_per_step"],
    )  # fmt: skip
    folder.metrics.write("performance", step=steps.step, **result)
    folder.write_result([f"{key}: {value}" for key, value in result.items()])
    return result
