"""What happens between steps: log lines, a stop on NaN, checkpoints."""

import math
import sys
import time

import mindspore as ms
import numpy as np
from tqdm import tqdm

from src.errors import UserError
from src.runlog import Metrics, log


class Progress(ms.Callback):
    """Logs loss, learning rate and throughput every `log_interval` steps, and stops the run on a loss of NaN or Inf.

    Args:
        rates: learning rate of every step of the run.
        steps_per_epoch: steps of one epoch.
        batch_size: images per step.
    """

    def __init__(self, rates: np.ndarray, steps_per_epoch: int, batch_size: int, log_interval: int, metrics: Metrics):
        self.rates = rates
        self.steps_per_epoch = steps_per_epoch
        self.batch_size = batch_size
        self.log_interval = log_interval
        self.metrics = metrics
        self.step = 0  # steps since the start of the run
        self.train_seconds = 0.0
        self._step_seconds: list = []
        self._losses: list = []
        self._bar = tqdm(total=len(rates), unit="step", disable=not sys.stderr.isatty())

    def on_train_step_begin(self, run_context) -> None:
        self._started = time.perf_counter()

    def on_train_step_end(self, run_context) -> None:
        loss = float(run_context.original_args().net_outputs.asnumpy())
        seconds = time.perf_counter() - self._started
        self.step += 1
        if not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} at step {self.step} (epoch {self.epoch}); "
                f"lower lr ({self.rates[self.step - 1]:g} there) or loss_scale; earlier checkpoints are intact"
            )
        self.train_seconds += seconds
        self._step_seconds.append(seconds)
        self._losses.append(loss)
        self._bar.update()
        if self.step % self.log_interval == 0 or self.step == len(self.rates):
            self._report()

    @property
    def epoch(self) -> int:
        """Number of the epoch that the last step belonged to, from 1."""
        return (self.step - 1) // self.steps_per_epoch + 1

    def close(self) -> None:
        """Removes the progress bar."""
        self._bar.close()

    def _report(self) -> None:
        loss, seconds = float(np.mean(self._losses)), float(np.median(self._step_seconds))
        rate, img_per_s = float(self.rates[self.step - 1]), self.batch_size / seconds
        self._losses, self._step_seconds = [], []
        log.info(
            "epoch %d step %d/%d loss %.4f lr %.6f %.1f img/s %.1f ms/step",
            self.epoch, self.step, len(self.rates), loss, rate, img_per_s, 1000 * seconds,
        )  # fmt: skip
        self.metrics.write(
            "train", epoch=self.epoch, step=self.step, loss=loss, lr=rate,
            img_per_s=round(img_per_s, 2), ms_per_step=round(1000 * seconds, 2),
        )  # fmt: skip


class Checkpoints(ms.Callback):
    """Calls `save` every `interval` steps, but at the end of an epoch, whose evaluation comes first.

    Must come after `Progress`, which counts the steps.
    """

    def __init__(self, progress: Progress, interval: int, save):
        self.progress = progress
        self.interval = interval
        self.save = save

    def due(self) -> bool:
        """Whether a checkpoint belongs to the present step."""
        return bool(self.interval) and self.progress.step % self.interval == 0

    def on_train_step_end(self, run_context) -> None:
        if self.due() and self.progress.step % self.progress.steps_per_epoch:
            self.save()
