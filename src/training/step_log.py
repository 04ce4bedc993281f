"""Counts the steps of a run, watches that losses stay finite, and logs how training goes."""

import math
from typing import Any, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..log import Metrics, log
from ..progress import bar
from .waiting import Clock


class Geometry(NamedTuple):
    """How a run is divided.

    Attributes:
        epochs: length of the run.
        steps_per_epoch: updates of the weights per epoch.
        accumulate_steps: batches per step.
        images_per_step: images of one step on all processes together.
        sink_size: batches that the device takes in one go.
    """

    epochs: int
    steps_per_epoch: int
    accumulate_steps: int
    images_per_step: int
    sink_size: int = 1

    @property
    def steps(self) -> int:
        """Steps of the run."""
        return self.epochs * self.steps_per_epoch


class StepLog:
    """The position of a run and what its steps told, in the order in which the loop calls it.

    Args:
        rates: learning rate of every step of the run, float32 (steps,).
        first_step: steps that a resumed run has done already.
        advice: said once where steps wait long for their data.
    """

    def __init__(
        self, rates: NDArray[np.float32], geometry: Geometry, log_interval: int, metrics: Metrics, first_step: int = 0,
        advice: str = "",
    ):  # fmt: skip
        self.rates = rates
        self.geometry = geometry
        self.log_interval = log_interval
        self.metrics = metrics
        self.step = first_step  # steps since the start of the run
        self.skipped = 0  # of these, since this process began, without an update because of an overflow
        self.advice = advice
        self.clock = Clock()
        self.unread = 0  # batches whose outcome is still on the device
        self._batches = 0  # of the present step, so far
        self._scale: Optional[float] = None  # of the last step that was read
        self._losses: list[float] = []
        self._bar = bar(total=len(rates), initial=first_step, unit="step")

    def count(self, batches: int = 1) -> bool:
        """Counts batches; returns whether the last one ended a step."""
        self.unread += batches
        steps, self._batches = divmod(self._batches + batches, self.geometry.accumulate_steps)
        self.step += steps
        self.clock.count(steps)
        self._bar.update(steps)
        return not self._batches

    def check(self, rows: NDArray[np.float32]) -> None:
        """Closes the steps that were not read yet: logs what the loss scale did, and every overflow.

        Args:
            rows: of their batches, those of a `Tally`: loss, whether no update was skipped, loss scale, ...

        Raises:
            UserError: the run cannot go on; names the step at which that began.
        """
        self.clock.read()
        self.unread = 0
        by_step = rows.reshape(-1, self.geometry.accumulate_steps, rows.shape[1])
        for step, batches in enumerate(by_step, self.step - len(by_step) + 1):
            loss = float(np.mean(batches[:, 0], dtype=np.float64))
            self._check_step(step, loss, bool(batches[-1, 1]), float(batches[-1, 2]))

    def _check_step(self, step: int, loss: float, finite: bool, scale: float) -> None:
        advice = f"lower lr ({self.rates[step - 1]:g} there)"
        if finite and not math.isfinite(loss):
            raise UserError(
                f"the loss became {loss} at step {step} (epoch {self._epoch_of(step)}); {advice} or loss_scale; "
                "earlier checkpoints are intact"
            )
        if not finite:
            if scale <= 1:
                raise UserError(
                    f"gradients of step {step} (epoch {self._epoch_of(step)}) are not finite even at loss scale {scale:g}, "
                    f"loss {loss:g}; {advice}; earlier checkpoints are intact"
                )
            self.skipped += 1
            log.info("step %d: overflow, update skipped, loss scale %g becomes %g", step, scale, scale / 2)
            position = {"epoch": self._epoch_of(step), "step": step}
            self.metrics.write("overflow", **position, loss_scale=scale, new_loss_scale=scale / 2)
        else:
            self._losses.append(loss)
            if self._scale is not None and self._scale < scale:
                log.info("step %d: loss scale is now %g", step, scale)
        self._scale = scale

    def log(self) -> None:
        """A line of loss, learning rate, throughput and waiting since the line before, where the step is due for one."""
        if not self.is_due or self._scale is None:
            return
        loss = float(np.mean(self._losses)) if self._losses else None
        self._losses = []
        pace = self.clock.pace()
        rate, img_per_s = float(self.rates[self.step - 1]), self.geometry.images_per_step / pace.seconds
        log.info(
            "epoch %d step %d/%d loss %s lr %.6f %.1f img/s %.1f ms/step, %.0f %% of it waiting for data",
            self.epoch, self.step, len(self.rates), "-" if loss is None else f"{loss:.4f}", rate, img_per_s,
            1000 * pace.seconds, 100 * pace.waiting,
        )  # fmt: skip
        self.metrics.write(
            "train", **self.position(), loss=loss, lr=rate, img_per_s=round(img_per_s, 2),
            ms_per_step=round(1000 * pace.seconds, 2), waiting=round(pace.waiting, 4), loss_scale=self._scale,
            skipped_steps=self.skipped,
        )  # fmt: skip
        if self.advice and pace.waits_too_long:
            log.info(self.advice)
            self.advice = ""

    @property
    def is_due(self) -> bool:
        """Whether the present step gets a line: every `log_interval` steps, and the last one."""
        return self.step % self.log_interval == 0 or self.step == len(self.rates)

    @property
    def epoch(self) -> int:
        """Number of the epoch that the last step belonged to, from 1."""
        return self._epoch_of(self.step)

    def _epoch_of(self, step: int) -> int:
        return (step - 1) // self.geometry.steps_per_epoch + 1

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
