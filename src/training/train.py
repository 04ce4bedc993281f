"""A training run from configuration to final checkpoint."""

import dataclasses
import time
from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn

from src import checkpoint
from src.checkpoint import Checkpoint
from src.config import Config
from src.data.index import ImageIndex, index_folder
from src.data.order import steps_per_epoch
from src.data.pipeline import train_pipeline
from src.data.preprocessing import preprocessing_from
from src.data.scan import naming_bad_images, usable_images
from src.device import worker_count
from src.errors import StoppedError, UserError
from src.models import create_model
from src.runlog import log
from src.training import resume
from src.training.callbacks import Checkpoints, Geometry, Progress, Stopper
from src.training.finetune import freeze, start_from
from src.training.optimizers import create_optimizer
from src.training.performance import measure
from src.training.precision import mixed_precision
from src.training.run_folder import RunFolder, check_writable
from src.training.schedules import learning_rates
from src.training.step import MovingAverage, TrainStep
from src.training.stopping import StopRequests
from src.training.validation import Validation


def train(config: Config, platform: str) -> None:
    """Trains the network that `config` describes on the platform that `device.prepare` chose.

    Raises:
        UserError: data, checkpoint or folder cannot be used, or the loss stopped being finite.
        StoppedError: a signal or the time limit ended the run early; its state is saved.
    """
    check_writable(Path(config.ckpt_path))  # before the files are checked, which can take long
    saved = resume.find_checkpoint(config)
    workers = worker_count(config.num_parallel_workers)
    train_index, eval_index = load_data(config, workers)
    images_per_step = config.per_batch_size * config.accumulate_steps
    geometry = Geometry(
        config.max_epoch, steps_per_epoch(len(train_index), images_per_step), config.accumulate_steps, images_per_step
    )
    if not geometry.steps_per_epoch:
        raise UserError(
            f"per_batch_size: {config.per_batch_size} times accumulate_steps {config.accumulate_steps} is more than the "
            f"{len(train_index)} training images"
        )
    if saved:
        resume.check_same_run(saved, config, train_index.fingerprint(), workers)

    rates = learning_rates(config, geometry.steps_per_epoch)
    network = create_network(config)
    step = create_step(network, rates, config, platform)
    if saved:
        resume.restore(network, step, saved)
    folder = RunFolder(config, saved)
    log.info(
        "%s on %s: %d classes, %d training images, %d for evaluation, %d epochs of %d steps, %d data workers",
        config.backbone, platform, config.num_classes, len(train_index), len(eval_index or ()), config.max_epoch,
        geometry.steps_per_epoch, workers,
    )  # fmt: skip
    progress = Progress(rates, geometry, config.log_interval, folder.metrics, saved.metadata["step"] if saved else 0)
    run = _Run(config, folder, network, step, train_index, eval_index, progress, workers)
    try:
        if config.performance:
            run.measure()
        else:
            run.train(saved)
    finally:
        progress.close()


def create_network(config: Config) -> nn.Cell:
    """The network to train, with fresh weights or those of `pretrained`, frozen up to `freeze`."""
    network = create_model(
        config.backbone, config.num_classes, config.group_conv, config.drop_rate, config.drop_block_rate,
        config.drop_path_rate,
    )  # fmt: skip
    if config.pretrained:
        saved = checkpoint.load(Path(config.pretrained))
        start_from(network, saved.averaged() if config.use_ema else saved)
    if config.freeze:
        freeze(network, config.freeze)
    return network


def create_step(network: nn.Cell, rates: np.ndarray, config: Config, platform: str) -> TrainStep:
    """The training step that `config` describes.

    Args:
        rates: learning rate of every step of the run.
    """
    optimizer = create_optimizer(network, rates, config)
    average = MovingAverage(network, config.ema_decay) if config.ema_decay else None
    return TrainStep(
        mixed_precision(network, config.amp_level, config.amp_dtype, platform),
        optimizer,
        label_smoothing=config.label_smooth_factor if config.label_smooth else 0.0,
        loss_scale=config.loss_scale,
        scale_window=config.loss_scale_window if config.is_dynamic_loss_scale else 0,
        accumulate_steps=config.accumulate_steps,
        clip_norm=config.clip_grad_norm,
        average=average,
    )


def load_data(config: Config, workers: int) -> tuple:
    """Training images, and the evaluation images or None, both checked and with the same class numbers."""
    if not config.data_dir:
        raise UserError("data_dir: no value; pass --data_dir FOLDER with one folder of images per class")
    if config.label_file:
        raise UserError("label_file: train.py reads class folders; make them with python -m src.data.prepare to_folders")
    train_root, eval_root = Path(config.data_dir), Path(config.eval_data_dir) if config.eval_data_dir else None
    if (train_root / "train").is_dir() and (train_root / "val").is_dir():
        train_root, eval_root = train_root / "train", eval_root or train_root / "val"
    elif eval_root is None and train_root.name == "train" and (train_root.parent / "val").is_dir():
        eval_root = train_root.parent / "val"
    scan = (config.scan, config.bad_images, Path(config.cache_dir), workers)

    train_index = index_folder(train_root)
    check_num_classes(train_index, config.num_classes)
    eval_index = None
    if eval_root and config.eval_interval:
        eval_index = index_folder(eval_root).with_classes(train_index.class_names, allow_fewer=False)
        eval_index = usable_images(eval_index, *scan)
    return usable_images(train_index, *scan), eval_index


def check_num_classes(index: ImageIndex, num_classes: int) -> None:
    """Raises UserError where the folder has another number of classes than the network."""
    if len(index.class_names) != num_classes:
        raise UserError(
            f"num_classes: {num_classes}, but '{index.root}' has {len(index.class_names)} class folders; "
            f"pass --num_classes {len(index.class_names)}"
        )


class _Run:
    """The state that epochs, evaluations and checkpoints of one run share."""

    def __init__(
        self, config: Config, folder: RunFolder, network: nn.Cell, step: TrainStep, train_index: ImageIndex, eval_index,
        progress: Progress, workers: int,
    ):  # fmt: skip
        self.config = config
        self.folder = folder
        self.network = network
        self.step = step
        self.train_index = train_index
        self.eval_index = eval_index
        self.progress = progress
        self.workers = workers
        self.model = ms.Model(step)
        self.preprocessing = preprocessing_from(config)
        self.fingerprint = train_index.fingerprint()
        self.validation = None if eval_index is None else Validation(config, eval_index, self.preprocessing, workers)
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
            callbacks = [self.progress, by_steps, Stopper(self.progress, self.requests)]
            with naming_bad_images(self.train_index):
                self.model.train(1, self.pipeline(epoch, done), callbacks=callbacks, dataset_sink_mode=False)
            self.stop_if_requested()
        if self.evaluation_due(epoch):
            self.evaluate()
        last = epoch + 1 == self.config.max_epoch
        by_epochs = self.config.ckpt_interval_epochs and (epoch + 1) % self.config.ckpt_interval_epochs == 0
        if last or by_epochs or by_steps.due() or self.stops_early():
            self.save()
        self.stop_if_requested()

    def pipeline(self, epoch: int, first_step: int = 0):
        """The batches of an epoch."""
        return train_pipeline(self.train_index, self.config, epoch, self.workers, first_step)

    def evaluation_due(self, epoch: int) -> bool:
        """Whether an epoch, counted from 0, ends with an evaluation."""
        if self.validation is None or epoch < 0:
            return False
        return epoch + 1 == self.config.max_epoch or (epoch + 1) % self.config.eval_interval == 0

    def evaluate(self) -> None:
        """Evaluates the weights, and their averages where there are any; keeps the better ones so far as best.ckpt."""
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
        if not self.requests.requested:
            return
        self.save()
        self.folder.metrics.write("stop", **self.progress.position(), reason=self.requests.reason)
        raise StoppedError(
            f"stopped by {self.requests.reason} after step {self.progress.step}, saved as {self.newest}; "
            "the same command with --resume auto goes on from there",
            self.requests.exit_code,
        )

    def save(self) -> None:
        """Writes a checkpoint of the present step."""
        self.newest = self.folder.save(self.network, self.metadata(), resume.state_of(self.network, self.step))

    def metadata(self) -> dict:
        """What a checkpoint says of itself."""
        return {
            "backbone": self.config.backbone,
            "num_classes": self.config.num_classes,
            "class_names": list(self.train_index.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            **self.progress.position(),
            "evaluation": self.last_evaluation,
            "best": self.best,
            "config": self.config.model_dump(mode="json"),
            "data_fingerprint": self.fingerprint,
            "data_workers": self.workers,
            "mindspore": ms.__version__,
        }
