"""The loop of training: what happens after every step and after every epoch, in reading order."""

import time
from typing import Optional

import numpy as np
from mindspore import nn

from .. import checkpoint
from ..checkpoint import Checkpoint, RunState
from ..config import Config
from ..data.index import ImageIndex
from ..data.pipeline import train_pipeline
from ..data.scan import naming_bad_images
from ..distributed import communication
from ..distributed.group import Group
from ..errors import StoppedError
from ..log import log
from ..model_info import Best, Evaluation, ModelInfo
from ..progress import beat
from . import resume
from .distillation import TEACHER
from .epochs import Epochs
from .run_folder import RunFolder
from .step import TrainStep
from .step_log import StepLog
from .stopping import Agreement, StopRequests, stops_early
from .tally import notes_of
from .validation import Validation


class Loop:
    """A run under way.

    Args:
        images: to train on, read by `workers` threads.
        network: whose weights `step` trains.
        steps: knows the position; where the run is resumed, that of the checkpoint.
        validation: evaluates the weights; None: nothing is evaluated.
        info: what a checkpoint says of itself as a model.
        start: the state before the first step.
    """

    def __init__(
        self, config: Config, group: Group, folder: RunFolder, images: ImageIndex, workers: int, network: nn.Cell,
        step: TrainStep, steps: StepLog, epochs: Epochs, validation: Optional[Validation], info: ModelInfo,
        start: RunState,
    ):  # fmt: skip
        self.config = config
        self.group = group
        self.folder = folder
        self.images = images
        self.workers = workers
        self.network = network
        self.step = step
        self.steps = steps
        self.validation = validation
        self.info = info
        self.state = start  # but for the position, which `steps` counts
        self.epochs = epochs
        self.tally = epochs.tally
        self.requests = StopRequests(config.time_limit)
        self.agreement = Agreement(self.requests, group.size, config.log_interval)
        self.stop_code = 0  # exit code of a stop that all ranks have agreed on
        self.newest = ""  # path of the newest checkpoint

    def run(self, saved: Optional[Checkpoint]) -> None:
        """Trains to the end, from the beginning or from where a checkpoint of this run was written."""
        epoch = self.go_on_from(saved) if saved else 0
        started, first_step = time.perf_counter(), self.steps.step
        with self.requests:
            while epoch < self.config.max_epoch and not self.stops_early():
                self.train_epoch(epoch)
                self.after_epoch(epoch)
                epoch += 1
        self.report(first_step, time.perf_counter() - started)

    def train_epoch(self, epoch: int) -> None:
        """The steps of an epoch that are still to be done. MindSpore's Model calls `after_batches` as they are done."""
        done = self.steps.step - epoch * self.steps.geometry.steps_per_epoch
        if done < self.steps.geometry.steps_per_epoch:
            size = self.config.crop_size(epoch)
            if epoch and size != self.config.crop_size(epoch - 1):
                log.info("epoch %d: crops of %d x %d pixels; the step is compiled anew", epoch + 1, *size)
            batches = train_pipeline(self.images, self.config, epoch, self.workers, done, self.group)
            with naming_bad_images(self.images):
                self.epochs.run(batches, done, self.before_batch, self.after_batches)
            self.stop_if_agreed()

    def before_batch(self) -> None:
        """With the batch that begins, this rank tells the others whether it was asked to stop."""
        self.tally.declare(self.agreement.notes(self.steps.step + 1, self.steps.clock.step_seconds))

    def after_batches(self, batches: int) -> bool:
        """What happens after batches, as many as the device takes in one go; returns whether to leave the epoch."""
        beat()
        if not self.steps.count(batches):
            return False
        all_read = self.steps.is_due or self.steps.at_epoch_end or self.saves_by_steps()
        alone_and_asked = self.group.size == 1 and self.requests.requested
        if not (all_read or alone_and_asked or self.agreement.will_read):
            return False  # the device goes on by itself
        rows = self.tally.read(self.steps.unread)
        self.steps.check(rows)
        self.steps.log()
        if self.saves_by_steps() and not self.steps.at_epoch_end:  # there, the evaluation comes first
            self.save()
        self.stop_code = self.agreement.stop_code(notes_of(rows).tolist(), all_read)
        if alone_and_asked:
            self.stop_code = self.requests.exit_code
        return bool(self.stop_code)

    def after_epoch(self, epoch: int) -> None:
        """What happens after the steps of an epoch, counted from 0."""
        if self.evaluates(epoch):
            self.evaluate()
            self.agree_to_stop()
        by_epochs = self.config.ckpt_interval_epochs and (epoch + 1) % self.config.ckpt_interval_epochs == 0
        if epoch + 1 == self.config.max_epoch or by_epochs or self.saves_by_steps() or self.stops_early():
            self.save()
        self.stop_if_agreed()

    # Evaluating and saving

    def evaluate(self) -> None:
        """Evaluates the weights, and their averages where there are any; keeps the better ones so far as best.ckpt."""
        assert self.validation, "there is nothing to evaluate on"
        self.align_statistics()
        results = {"": self.validation.run(checkpoint.weights_of(self.network), self.stop_if_alone)}
        if self.step.average is not None:
            results["ema_"] = self.validation.run(self.step.average.weights(), self.stop_if_alone)
        position = self.steps.position()
        kept = list(results)[-1]  # the averages, where there are any: the weights that such a run is for
        best = results[kept]["top1"] > self.state.best.top1
        for kind, result in results.items():
            log.info(
                "epoch %d evaluation%s: top-1 %.2f %% top-5 %.2f %% of %d images, mean over classes %.2f %%%s",
                position["epoch"], " of the averaged weights" * bool(kind), 100 * result["top1"], 100 * result["top5"],
                result["images"], 100 * result["macro_recall"], " (best so far)" * (best and kind == kept),
            )  # fmt: skip
        self.state = self.state.model_copy(update={"evaluation": Evaluation(**position, **results[kept])})
        values = {kind + key: result[key] for kind, result in results.items() for key in result if key != "classes"}
        self.folder.metrics.write("eval", **position, **values)
        if best:
            self.state = self.state.model_copy(update={"best": Best(top1=results[kept]["top1"], **position)})
            info = self.info.model_copy(update={"averaged": self.step.average is not None})
            self.folder.save_best(self.validation.network, info, self.state.model_copy(update=position))

    def save(self) -> None:
        """Writes a checkpoint of the present step."""
        self.align_statistics()
        tensors = resume.state_of(self.network, self.step)
        state = self.state.model_copy(update={**self.steps.position(), "tensors": tensors})
        self.newest = str(self.folder.save(self.network, self.info, state))

    def align_statistics(self) -> None:
        """Gives all ranks the same running statistics, whose images were not the same, and their averages."""
        # Those of the network, of its averages, and those kept for an overflow.
        parameters = self.step.get_parameters()
        statistics = [p for p in parameters if ".running_" in p.name and not p.name.startswith(TEACHER)]
        communication.align(statistics, self.group, mean=self.config.bn_statistics == "mean")

    # When

    def evaluates(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, ends with an evaluation."""
        if self.validation is None or epoch < 0:
            return False
        return epoch + 1 == self.config.max_epoch or (epoch + 1) % self.config.eval_interval == 0

    def saves_by_steps(self) -> bool:
        """Whether the present step is one of those after which `ckpt_interval` asks for a checkpoint."""
        return bool(self.config.ckpt_interval) and self.steps.step % self.config.ckpt_interval == 0

    def stops_early(self) -> bool:
        """Whether `early_stop` ends the run here."""
        return stops_early(self.config, self.steps.epoch, self.state.best)

    # How a run ends and goes on

    def agree_to_stop(self) -> None:
        """Notes whether any rank was asked to stop. All of them call it at the same places, so that all stop there."""
        asked = np.array([self.requests.exit_code if self.requests.requested else 0], np.int64)
        self.stop_code = self.stop_code or int(communication.all_gather(asked, self.group).max())

    def stop_if_alone(self) -> None:
        """Within an evaluation, where ranks are not in step, only a single process can stop. Raises StoppedError."""
        if self.group.size == 1:
            self.agree_to_stop()
            self.stop_if_agreed()

    def stop_if_agreed(self) -> None:
        """Saves and ends the run if a stop was agreed on. Raises StoppedError."""
        if not self.stop_code:
            return
        self.save()
        self.folder.metrics.write("stop", **self.steps.position(), reason=self.requests.reason)
        communication.barrier(self.group)  # whoever leaves first is followed at once by the others
        raise StoppedError(
            f"stopped by {self.requests.reason} after step {self.steps.step}, saved as {self.newest}; "
            "the same command with --resume auto goes on from there",
            self.stop_code,
        )

    def go_on_from(self, saved: Checkpoint) -> int:
        """Takes over what the checkpoint knows; returns the number of the epoch to go on with, from 0."""
        self.newest = str(saved.path)
        self.state = self.state.model_copy(update={"evaluation": saved.resumable.evaluation, "best": saved.resumable.best})
        finished, within = divmod(self.steps.step, self.steps.geometry.steps_per_epoch)
        evaluated = self.state.evaluation.epoch if self.state.evaluation else 0
        evaluation_missing = self.evaluates(finished - 1) and evaluated != finished
        log.info("resume: %s, after step %d of %d", saved.path, self.steps.step, self.steps.geometry.steps)
        return finished - 1 if not within and evaluation_missing else finished

    def report(self, first_step: int, seconds: float) -> None:
        """Writes the result of the run."""
        images = (self.steps.step - first_step) * self.steps.geometry.images_per_step
        log.info("trained %d images in %.1f s; newest checkpoint: %s", images, seconds, self.newest)
        result = {
            "images": images, "seconds": round(seconds, 2), "step_seconds": round(self.steps.clock.total, 2),
            "img_per_s": round(images / seconds, 2), "checkpoint": self.newest,
        }  # fmt: skip
        self.folder.metrics.write("end", **result)
        best = {f"best_{key}": value for key, value in self.state.best.to_dict().items()} if self.validation else {}
        self.folder.write_result([f"{key}: {value}" for key, value in {**best, **result}.items()])
        if self.config.report:
            self.folder.write_report(self.validation)
