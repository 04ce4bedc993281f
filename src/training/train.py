"""A training run from configuration to final checkpoint."""

import dataclasses
import time
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from src import checkpoint
from src.config import Config
from src.data.index import ImageIndex, index_folder
from src.data.pipeline import train_pipeline
from src.data.preprocessing import preprocessing_from
from src.data.scan import naming_bad_images, usable_images
from src.device import worker_count
from src.errors import UserError
from src.evaluation.evaluate import evaluate
from src.models import create_model
from src.runlog import log
from src.training.callbacks import Checkpoints, Progress
from src.training.finetune import freeze, start_from
from src.training.run_folder import RunFolder, check_writable
from src.training.schedules import learning_rates
from src.training.step import TrainStep, create_optimizer


def train(config: Config, platform: str) -> Path:
    """Trains the network that `config` describes on the platform that `device.prepare` chose.

    Returns:
        The newest checkpoint.

    Raises:
        UserError: data, checkpoint or folder cannot be used, or the loss stopped being finite.
    """
    if any(config.batch_size):
        raise UserError("batch_size: it belongs to export.py; images per training step are --per_batch_size")
    check_writable(Path(config.ckpt_path))  # before the files are checked, which can take long
    workers = worker_count(config.num_parallel_workers)
    train_index, eval_index = load_data(config, workers)
    steps_per_epoch = len(train_index) // config.per_batch_size
    if not steps_per_epoch:
        raise UserError(f"per_batch_size: {config.per_batch_size} is more than the {len(train_index)} training images")

    network = create_model(
        config.backbone, config.num_classes, config.group_conv, config.drop_rate, config.drop_block_rate
    )
    if config.pretrained:
        start_from(network, checkpoint.load(Path(config.pretrained)))
    if config.freeze:
        freeze(network, config.freeze)
    folder = RunFolder(config)
    rates = learning_rates(config, steps_per_epoch)
    label_smoothing = config.label_smooth_factor if config.label_smooth else 0.0
    step = TrainStep(network, create_optimizer(network, rates, config), label_smoothing, config.loss_scale)
    log.info(
        "%s on %s: %d classes, %d training images, %d for evaluation, %d epochs of %d steps, %d data workers",
        config.backbone, platform, config.num_classes, len(train_index), len(eval_index or ()), config.max_epoch,
        steps_per_epoch, workers,
    )  # fmt: skip
    progress = Progress(rates, steps_per_epoch, config.per_batch_size, config.log_interval, folder.metrics)
    run = _Run(config, folder, network, train_index.class_names, progress, workers)
    try:
        return run.epochs(ms.Model(step), train_index, eval_index)
    finally:
        progress.close()


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

    def __init__(self, config: Config, folder: RunFolder, network: nn.Cell, class_names: tuple, progress: Progress, workers):
        self.config = config
        self.folder = folder
        self.network = network
        self.class_names = class_names
        self.progress = progress
        self.workers = workers
        self.preprocessing = preprocessing_from(config)
        self.last_evaluation: dict = {}
        self.best_top1 = -1.0
        self.newest = Path()

    def epochs(self, model: ms.Model, train_index: ImageIndex, eval_index) -> Path:
        config = self.config
        by_steps = Checkpoints(self.progress, config.ckpt_interval, self.save)
        started = time.perf_counter()
        for epoch in range(config.max_epoch):
            pipeline = train_pipeline(train_index, config, epoch, self.workers)
            with naming_bad_images(train_index):
                model.train(1, pipeline, callbacks=[self.progress, by_steps], dataset_sink_mode=False)
            last = epoch + 1 == config.max_epoch
            if eval_index is not None and (last or (epoch + 1) % config.eval_interval == 0):
                self.evaluate(eval_index)
            by_epochs = config.ckpt_interval_epochs and (epoch + 1) % config.ckpt_interval_epochs == 0
            if last or by_epochs or by_steps.due():
                self.save()
        seconds = time.perf_counter() - started
        images = self.progress.step * config.per_batch_size
        log.info("trained %d images in %.1f s; newest checkpoint: %s", images, seconds, self.newest)
        self.folder.metrics.write(
            "end", images=images, seconds=round(seconds, 2), step_seconds=round(self.progress.train_seconds, 2),
            img_per_s=round(images / seconds, 2), checkpoint=str(self.newest),
        )  # fmt: skip
        return self.newest

    def evaluate(self, index: ImageIndex) -> None:
        """Evaluates the network as it is and keeps it as best.ckpt if it is better than before."""
        self.network.set_train(False)
        try:
            result = evaluate(self._classify, index, self.preprocessing, self.config.eval_batch_size, self.workers)
        finally:
            self.network.set_train(True)
        position = {"epoch": self.progress.epoch, "step": self.progress.step}
        self.last_evaluation = {**position, **result}
        best = result["top1"] > self.best_top1
        log.info(
            "epoch %d evaluation: top-1 %.2f %% top-5 %.2f %% of %d images%s",
            position["epoch"], 100 * result["top1"], 100 * result["top5"], result["images"], " (best so far)" * best,
        )  # fmt: skip
        self.folder.metrics.write("eval", **self.last_evaluation)
        if best:
            self.best_top1 = result["top1"]
            self.folder.save_best(self.network, self.metadata())

    def _classify(self, images: np.ndarray) -> np.ndarray:
        return self.network(ms.Tensor(images)).asnumpy()

    def save(self) -> None:
        """Writes a checkpoint of the present step."""
        self.newest = self.folder.save(self.network, self.metadata())

    def metadata(self) -> dict:
        """What a checkpoint says of itself."""
        return {
            "backbone": self.config.backbone,
            "num_classes": self.config.num_classes,
            "class_names": list(self.class_names),
            "preprocessing": dataclasses.asdict(self.preprocessing),
            "epoch": self.progress.epoch,
            "step": self.progress.step,
            "evaluation": self.last_evaluation,
            "config": self.config.model_dump(),
            "data_workers": self.workers,
            "mindspore": ms.__version__,
        }
