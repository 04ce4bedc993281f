"""A run under way: epochs, evaluations, checkpoints, and how it ends."""

import dataclasses
import time
from pathlib import Path
from typing import Optional

import mindspore as ms
from mindspore import nn

from .. import checkpoint
from ..checkpoint import Checkpoint
from ..config import Config
from ..data.index import ImageIndex
from ..data.pipeline import train_pipeline
from ..data.preprocessing import preprocessing_from
from ..data.scan import naming_bad_images
from ..distributed import communication
from ..distributed.group import Group
from ..errors import StoppedError
from ..log import log
from . import resume
from .callbacks import Checkpoints, Progress, Stopper
from .performance import measure
from .run_folder import RunFolder
from .step import TrainStep
from .stopping import StopRequests
from .validation import Validation


class Run:
    """The state that epochs, evaluations and checkpoints of one run share."""

    def __init__(
        self, config: Config, group: Group, folder: RunFolder, network: nn.Cell, step: TrainStep, train_index: ImageIndex,
        eval_index: Optional[ImageIndex], progress: Progress, workers: int,
    ):  # fmt: skip
        self.config = config
        self.group = group
        self.folder = folder
        self.network = network
        self.step = step
        self.train_index = train_index
        self.progress = progress
        self.workers = workers
        self.model = ms.Model(step)
        self.preprocessing = preprocessing_from(config)
        self.dataset = {"kind": train_index.images.kind, "fingerprint": train_index.fingerprint}
        self.validation = None
        if eval_index is not None:
            self.validation = Validation(config, eval_index, self.preprocessing, workers, group, network.padding)
        self.last_evaluation: dict = {}
        self.best = {"top1": -1.0}
        self.newest = Path()

    def measure(self) -> None:
        """Times some steps; nothing is evaluated or saved."""
        with naming_bad_images(self.train_index):
            result = measure(self.model, self.progress, self.pipeline, self.config.performance_steps, self.folder)
        self.folder.write_result([f"{key}: {value}" for key, value in result.items()])

    def train(self, saved: Optional[Checkpoint]) -> None:
        """Trains to the end, from the beginning or from where a checkpoint of this run was written."""
        epoch = 0
        if saved:
            epoch = self.go_on_from(saved)
        started, first_step = time.perf_counter(), self.progress.step
        with StopRequests(self.config.time_limit) as requests:
            self.requests = requests
            self.stopper = Stopper(self.progress, requests, self.group)
            while epoch < self.config.max_epoch and not self.stops_early():
                self.epoch(epoch)
                epoch += 1
        seconds = time.perf_counter() - started
        images = (self.progress.step - first_step) * self.progress.geometry.images_per_step
        log.info("trained %d images in %.1f s; newest checkpoint: %s", images, seconds, self.newest)
        result = {
            "images": images, "seconds": round(seconds, 2), "step_seconds": round(self.progress.train_seconds, 2),
            "img_per_s": round(images / seconds, 2), "checkpoint": str(self.newest),
        }  # fmt: skip
        self.folder.metrics.write("end", **result)
        best = {f"best_{key}": value for key, value in self.best.items()} if self.validation else {}
        self.folder.write_result([f"{key}: {value}" for key, value in {**best, **result}.items()])

    def go_on_from(self, saved: Checkpoint) -> int:
        """Takes over what the checkpoint knows; returns the number of the epoch to go on with, from 0."""
        self.newest = saved.path
        self.last_evaluation = saved.metadata["evaluation"]
        self.best = saved.metadata["best"]
        finished, within = divmod(self.progress.step, self.progress.geometry.steps_per_epoch)
        evaluation_missing = self.evaluation_due(finished - 1) and self.last_evaluation.get("epoch") != finished
        log.info("resume: %s, after step %d of %d", saved.path, self.progress.step, self.progress.geometry.steps)
        return finished - 1 if not within and evaluation_missing else finished

    def epoch(self, epoch: int) -> None:
        """The rest of an epoch: its steps, its evaluation, its checkpoint."""
        by_steps = Checkpoints(self.progress, self.config.ckpt_interval, self.save)
        steps = self.progress.geometry.steps_per_epoch
        done = self.progress.step - epoch * steps
        if done < steps:
            callbacks = [self.progress, by_steps, self.stopper]
            with naming_bad_images(self.train_index):
                self.model.train(1, self.pipeline(epoch, done), callbacks=callbacks, dataset_sink_mode=False)
            self.stop_if_requested()
        if self.evaluation_due(epoch):
            self.evaluate()
            self.stopper.agree()
        last = epoch + 1 == self.config.max_epoch
        by_epochs = self.config.ckpt_interval_epochs and (epoch + 1) % self.config.ckpt_interval_epochs == 0
        if last or by_epochs or by_steps.due() or self.stops_early():
            self.save()
        self.stop_if_requested()

    def pipeline(self, epoch: int, first_step: int = 0):
        """The batches of an epoch."""
        return train_pipeline(self.train_index, self.config, epoch, self.workers, first_step, self.group)

    def evaluation_due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, ends with an evaluation."""
        if self.validation is None or epoch < 0:
            return False
        return epoch + 1 == self.config.max_epoch or (epoch + 1) % self.config.eval_interval == 0

    def evaluate(self) -> None:
        """Evaluates the weights, and their averages where there are any; keeps the better ones so far as best.ckpt."""
        self.align_statistics()
        results = {"": self.validation.run(checkpoint.weights_of(self.network), self.stop_if_requested)}
        if self.step.average is not None:
            results["ema_"] = self.validation.run(self.step.average.weights(), self.stop_if_requested)
        position = self.progress.position()
        kept = list(results)[-1]  # the averages, where there are any: the weights that such a run is for
        best = results[kept]["top1"] > self.best["top1"]
        for kind, result in results.items():
            log.info(
                "epoch %d evaluation%s: top-1 %.2f %% top-5 %.2f %% of %d images%s",
                position["epoch"], " of the averaged weights" * bool(kind), 100 * result["top1"], 100 * result["top5"],
                result["images"], " (best so far)" * (best and kind == kept),
            )  # fmt: skip
        self.last_evaluation = {**position, **results[kept]}
        values = {kind + key: value for kind, result in results.items() for key, value in result.items()}
        self.folder.metrics.write("eval", **position, **values)
        if best:
            self.best = {"top1": results[kept]["top1"], **position}
            self.folder.save_best(self.validation.network, {**self.metadata(), "averaged": self.step.average is not None})

    def stops_early(self) -> bool:
        """Whether the accuracy has not risen for the number of evaluations that the configuration allows."""
        if not self.config.early_stop or "epoch" not in self.best:
            return False
        since = (self.progress.epoch - self.best["epoch"]) // self.config.eval_interval
        return since >= self.config.early_stop

    def stop_if_requested(self) -> None:
        """Saves and ends the run if somebody asked for it. Raises StoppedError."""
        code = self.stopper.exit_code()
        if not code:
            return
        self.save()
        self.folder.metrics.write("stop", **self.progress.position(), reason=self.requests.reason)
        communication.barrier(self.group)  # whoever leaves first is followed at once by the others
        raise StoppedError(
            f"stopped by {self.requests.reason} after step {self.progress.step}, saved as {self.newest}; "
            "the same command with --resume auto goes on from there",
            code,
        )

    def save(self) -> None:
        """Writes a checkpoint of the present step."""
        self.align_statistics()
        self.newest = self.folder.save(self.network, self.metadata(), resume.state_of(self.network, self.step))

    def align_statistics(self) -> None:
        """Gives all ranks the same running statistics, whose images were not the same, and their averages."""
        # Those of the network, of its averages, and those kept for an overflow.
        statistics = [p for p in self.step.get_parameters() if ".running_" in p.name]
        communication.align(statistics, self.group, mean=self.config.bn_statistics == "mean")

    def metadata(self) -> dict:
        """What a checkpoint says of itself."""
        return {
            "backbone": self.config.backbone,
            "num_classes": self.config.num_classes,
            "padding": self.network.padding,
            "class_names": list(self.train_index.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            **self.progress.position(),
            "evaluation": self.last_evaluation,
            "best": self.best,
            "config": self.config.resolved(),
            "dataset": self.dataset,
            "data_workers": self.workers,
            "mindspore": ms.__version__,
        }
