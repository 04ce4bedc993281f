"""MindSpore's Model at work: the batches of an epoch go through a step, and the loop hears of each."""

from collections.abc import Callable
from typing import Any, Optional

import mindspore as ms
from mindspore import dataset as ds

from ..errors import UserError
from .graph_cache import GraphCache
from .step import TrainStep
from .step_log import StepLog


class Epochs:
    """Trains a step, epoch after epoch.

    Args:
        steps: knows how a run is divided, and its clock measures.
        graphs: where the compiled step is kept, or None.
    """

    def __init__(self, step: TrainStep, steps: StepLog, graphs: Optional[GraphCache] = None):
        assert step.tally is not None, "what the batches tell is read from the step's tally"
        self.tally = step.tally
        self.model: Any = ms.Model(step)
        self.steps = steps
        self.graphs = graphs

    def run(
        self, batches: ds.Dataset, done: int, before_batch: Callable[[], None], after_batches: Callable[[int], bool]
    ) -> None:
        """Trains on the rest of an epoch. Raises UserError where the device cannot take it in equal parts.

        Args:
            batches: those of the epoch (`train_pipeline`).
            done: steps of the epoch that are not to be done.
            before_batch: called when the images of a batch have come.
            after_batches: called when the device has this many batches; returns whether to leave the epoch.
        """
        geometry = self.steps.geometry
        around = _Around(self.steps, before_batch, after_batches, self.graphs)
        self.steps.clock.wait()
        if self.graphs:
            self.graphs.open()
        try:
            if geometry.sink_size == 1:
                self.model.train(1, batches, around, dataset_sink_mode=False)
            else:
                self._train_by_sinks(batches, done, around)
        finally:
            if self.graphs:
                self.graphs.close(compiled=False)

    def _train_by_sinks(self, batches: ds.Dataset, done: int, around: ms.Callback) -> None:
        geometry = self.steps.geometry
        left, size = (geometry.steps_per_epoch - done) * geometry.accumulate_steps, geometry.sink_size
        if left % size:
            raise UserError(f"sink_size: {size} does not divide the {left} batches left of this epoch; pass 1 until its end")
        self.model.train(left // size, batches, around, dataset_sink_mode=True, sink_size=size)


class _Around(ms.Callback):
    """Calls functions before and after what the device does in one go."""

    def __init__(
        self, steps: StepLog, before_batch: Callable[[], None], after_batches: Callable[[int], bool],
        graphs: Optional[GraphCache],
    ):  # fmt: skip
        self.steps = steps
        self.before_batch = before_batch
        self.after_batches = after_batches
        self.graphs = graphs

    def on_train_step_begin(self, run_context) -> None:
        self.steps.clock.begin()
        self.before_batch()

    def on_train_step_end(self, run_context) -> None:
        if self.graphs:
            self.graphs.close()
        if self.after_batches(self.steps.geometry.sink_size):
            run_context.request_stop()
        self.steps.clock.wait()
