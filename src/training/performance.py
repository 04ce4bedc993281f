"""How fast training is: some steps after a warm-up, without evaluation and checkpoints."""

import mindspore as ms
import numpy as np

from ..log import log
from .callbacks import Progress, Timing
from .run_folder import RunFolder

_WARM_UP_STEPS = 10  # compiling, filling of queues


def measure(model: ms.Model, progress: Progress, pipelines, steps: int, folder: RunFolder) -> dict:
    """Trains `steps` steps after the warm-up and reports images per second, data waiting included.

    Args:
        pipelines: function of the epoch's number, from 0.
        steps: how many are timed.

    Returns:
        `img_per_s` (median), `img_per_s_p10`, `img_per_s_p90`, `ms_per_step` (median), `steps`.
    """
    timing = Timing(progress, _WARM_UP_STEPS + steps)
    epoch = 0
    while len(timing.ends) < timing.steps:
        model.train(1, pipelines(epoch), callbacks=[progress, timing], dataset_sink_mode=False)
        epoch += 1
    seconds = np.diff(timing.ends)[_WARM_UP_STEPS - 1 :]
    slow, median, fast = progress.geometry.images_per_step / np.percentile(seconds, [90, 50, 10])
    result = {
        "img_per_s": round(float(median), 2),
        "img_per_s_p10": round(float(slow), 2),
        "img_per_s_p90": round(float(fast), 2),
        "ms_per_step": round(1000 * float(np.median(seconds)), 2),
        "steps": steps,
    }
    log.info(
        "performance: %.2f img/s (median of %d steps after %d, 10th to 90th percentile %.2f to %.2f), %.2f ms/step",
        median, steps, _WARM_UP_STEPS, slow, fast, result["ms_per_step"],
    )  # fmt: skip
    folder.metrics.write("performance", step=progress.step, **result)
    return result
