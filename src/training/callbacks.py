"""What happens between steps: log lines, a stop on NaN, checkpoints, a stop on request."""

import math
import sys
import time
from typing import NamedTuple

import mindspore as ms
import numpy as np
from tqdm import tqdm

from ..distributed.communication import all_gather
from ..distributed.group import ALONE, Group
from ..errors import UserError
from ..log import Metrics, log
from ..progress import beat
from .stopping import StopRequests


class Geometry(NamedTuple):
    """How a run is divided.

    Attributes:
        epochs: length of the run.
        steps_per_epoch: updates of the weights per epoch.
        accumulate_steps: batches per step.
        images_per_step: images of one step on all processes together.
    """

    epochs: int
    steps_per_epoch: int
    accumulate_steps: int
    images_per_step: int

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return self.epochs * self.steps_per_epoch


class Progress(ms.Callback):
    """Counts steps, logs loss, learning rate and throughput every `log_interval` of them, and stops on a loss of NaN or Inf.

    Args:
        rates: learning rate of every step of the run.
        first_step: steps that a resumed run has done already.
    """

    def __init__(self, rates: np.ndarray, geometry: Geometry, log_interval: int, metrics: Metrics, first_step: int = 0):
        self.rates = rates
        self.geometry = geometry
        self.log_interval = log_interval
        self.metrics = metrics
        self.step = first_step  # steps since the start of the run
        self.skipped = 0  # of these, since this process began, without an update because of an overflow
        self.train_seconds = 0.0
        self._batches: list = []  # losses of the present step's batches so far
        self._step_seconds: list = []
        self._losses: list = []
        self._scale = 0.0
        self._bar = tqdm(total=len(rates), initial=first_step, unit="step", disable=not sys.stderr.isatty())

    def on_train_step_begin(self, run_context) -> None:
        if not self._batches:
            self._started = time.perf_counter()

    def on_train_step_end(self, run_context) -> None:
        loss, finite, scale = (float(output.asnumpy()) for output in run_context.original_args().net_outputs)
        self._batches.append(loss)
        beat()
        if len(self._batches) < self.geometry.accumulate_steps:
            return
        seconds = time.perf_counter() - self._started
        loss, self._batches = float(np.mean(self._batches)), []
        self.step += 1
        self._check(loss, bool(finite), scale)
        self._scale = scale
        self.train_seconds += seconds
        self._step_seconds.append(seconds)
        if finite:
            self._losses.append(loss)
        self._bar.update()
        if self.step % self.log_interval == 0 or self.step == len(self.rates):
            self._report()

    @property
    def between_steps(self) -> bool:
        """Whether no step is half done, with some of its batches still to come."""
        return not self._batches

    @property
    def epoch(self) -> int:
        """Number of the epoch that the last step belonged to, from 1."""
        return (self.step - 1) // self.geometry.steps_per_epoch + 1

    def position(self) -> dict:
        """`epoch` and `step`, both from 1."""
        return {"epoch": self.epoch, "step": self.step}

    def close(self) -> None:
        """Removes the progress bar."""
        self._bar.close()

    def _check(self, loss: float, finite: bool, scale: float) -> None:
        """Raises UserError where the run cannot go on; logs what the loss scale does."""
        advice = f"lower lr ({self.rates[self.step - 1]:g} there)"
        if finite and not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} at step {self.step} (epoch {self.epoch}); {advice} or loss_scale; "
                "earlier checkpoints are intact"
            )
        if not finite:
            if scale <= 1:
                raise UserError(
                    f"gradients of step {self.step} (epoch {self.epoch}) are not finite even at loss scale {scale:g}, loss "
                    f"{loss:g}; {advice}; earlier checkpoints are intact"
                )
            self.skipped += 1
            log.info("step %d: overflow, update skipped, loss scale %g becomes %g", self.step, scale, scale / 2)
            self.metrics.write("overflow", **self.position(), loss_scale=scale, new_loss_scale=scale / 2)
        elif 0 < self._scale < scale:
            log.info("step %d: loss scale is now %g", self.step, scale)

    def _report(self) -> None:
        loss = float(np.mean(self._losses)) if self._losses else None
        seconds = float(np.median(self._step_seconds))
        rate, img_per_s = float(self.rates[self.step - 1]), self.geometry.images_per_step / seconds
        self._losses, self._step_seconds = [], []
        log.info(
            "epoch %d step %d/%d loss %s lr %.6f %.1f img/s %.1f ms/step",
            self.epoch, self.step, len(self.rates), "-" if loss is None else f"{loss:.4f}", rate, img_per_s, 1000 * seconds,
        )  # fmt: skip
        self.metrics.write(
            "train", **self.position(), loss=loss, lr=rate, img_per_s=round(img_per_s, 2),
            ms_per_step=round(1000 * seconds, 2), loss_scale=self._scale, skipped_steps=self.skipped,
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
        at_end = self.progress.step % self.progress.geometry.steps_per_epoch == 0
        if self.progress.between_steps and self.due() and not at_end:
            self.save()


class Stopper(ms.Callback):
    """Ends the epoch after the present step when somebody asks for it. Must come after `Progress`.

    Several processes agree after every step: whichever is asked, all stop after the same one.
    """

    def __init__(self, progress: Progress, requests: StopRequests, group: Group = ALONE):
        self.progress = progress
        self.requests = requests
        self.group = group
        self._agreed = 0  # the exit code, the same for all

    def on_train_step_end(self, run_context) -> None:
        if self.progress.between_steps:
            self.agree()
            if self._agreed:
                run_context.request_stop()

    def agree(self) -> None:
        """Notes whether any process was asked. All of them must call it at the same place."""
        asked = np.array([self.requests.exit_code if self.requests.requested else 0], np.int64)
        self._agreed = self._agreed or int(all_gather(asked, self.group).max())

    def exit_code(self) -> int:
        """That of a stop now, or 0. Within an evaluation, where processes are not in step, only one alone can stop."""
        if not self._agreed and self.group.size == 1 and self.requests.requested:
            return self.requests.exit_code
        return self._agreed


class Timing(ms.Callback):
    """Notes when every step ends, waiting for data included, and stops after `steps` of them. Must come after `Progress`."""

    def __init__(self, progress: Progress, steps: int):
        self.progress = progress
        self.steps = steps
        self.ends: list = []

    def on_train_step_end(self, run_context) -> None:
        if self.progress.between_steps:
            self.ends.append(time.perf_counter())
            if len(self.ends) == self.steps:
                run_context.request_stop()
