"""Counts the steps of a run, watches that losses stay finite, and logs how training goes."""

import math
import time
from typing import Any, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..log import Metrics, log
from ..progress import bar


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


class Batch(NamedTuple):
    """What a batch told: its loss, whether no update was skipped, the loss scale."""

    loss: float
    finite: bool
    scale: float


class StepLog:
    """The position of a run and what its steps told, in the order in which the loop calls it.

    Args:
        rates: learning rate of every step of the run, float32 (steps,).
        first_step: steps that a resumed run has done already.
    """

    def __init__(
        self, rates: NDArray[np.float32], geometry: Geometry, log_interval: int, metrics: Metrics, first_step: int = 0
    ):
        self.rates = rates
        self.geometry = geometry
        self.log_interval = log_interval
        self.metrics = metrics
        self.step = first_step  # steps since the start of the run
        self.skipped = 0  # of these, since this process began, without an update because of an overflow
        self.train_seconds = 0.0
        self._batches: list[Batch] = []  # of the present step, so far
        self._started = 0.0
        self._last: Optional[Batch] = None  # of the step before
        self._step_seconds: list[float] = []
        self._losses: list[float] = []
        self._bar = bar(total=len(rates), initial=first_step, unit="step")

    def begin_batch(self) -> None:
        """Notes the time at which a step starts."""
        if not self._batches:
            self._started = time.perf_counter()

    def count(self, batch: Batch) -> bool:
        """Counts a batch; returns whether it was the last one of a step."""
        self._batches.append(batch)
        if len(self._batches) < self.geometry.accumulate_steps:
            return False
        self.step += 1
        seconds = time.perf_counter() - self._started
        self.train_seconds += seconds
        self._step_seconds.append(seconds)
        self._bar.update()
        return True

    def check(self) -> None:
        """Closes the step. Raises UserError where the run cannot go on; logs what the loss scale does."""
        loss = float(np.mean([batch.loss for batch in self._batches]))
        _, finite, scale = self._batches[-1]
        self._batches = []
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
        else:
            self._losses.append(loss)
            if self._last and self._last.scale < scale:
                log.info("step %d: loss scale is now %g", self.step, scale)
        self._last = Batch(loss, finite, scale)

    def log(self) -> None:
        """Every `log_interval` steps and after the last one: loss, learning rate and throughput since the line before."""
        if self._last is None or (self.step % self.log_interval and self.step != len(self.rates)):
            return
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
            ms_per_step=round(1000 * seconds, 2), loss_scale=self._last.scale, skipped_steps=self.skipped,
        )  # fmt: skip

    @property
    def epoch(self) -> int:
        """Number of the epoch that the last step belonged to, from 1."""
        return (self.step - 1) // self.geometry.steps_per_epoch + 1

    @property
    def at_epoch_end(self) -> bool:
        """Whether the last step was the last one of its epoch."""
        return self.step % self.geometry.steps_per_epoch == 0

    def position(self) -> dict[str, Any]:
        """`epoch` and `step`, both from 1."""
        return {"epoch": self.epoch, "step": self.step}

    def close(self) -> None:
        """Removes the progress bar."""
        self._bar.close()
