"""A training run from its configuration to its end: group, data, network, step, loop."""

import contextlib
from pathlib import Path
from typing import Any, Optional

import mindspore as ms
import numpy as np
from mindspore import dataset as ds
from mindspore import nn
from numpy.typing import NDArray

from ..checkpoint import Checkpoint, RunState, TrainingImages
from ..config import Config
from ..cpu.choice import choose_kernels
from ..data.datasets import open_training_data
from ..data.index import ImageIndex
from ..data.order import steps_per_epoch
from ..data.pipeline import train_pipeline
from ..data.preprocessing import preprocessing_from
from ..data.scan import naming_bad_images
from ..device import available_cores, machine, worker_count
from ..distributed import communication
from ..distributed.group import ALONE, Group
from ..errors import UserError
from ..files import owning
from ..log import log
from ..model_info import Best, ModelInfo, Preprocessing
from ..weights.by_name import local_path
from . import resume
from .build import create_network, create_step
from .distillation import load_teacher, teacher_digest
from .epochs import Epochs
from .graph_cache import GraphCache, graph_name
from .loop import Loop
from .losses import class_weights
from .performance import measure
from .run_folder import RunFolder, check_writable, open_folder
from .schedules import learning_rates
from .step import TrainStep
from .step_log import Geometry, StepLog
from .tracing import trace
from .validation import Validation
from .waiting import advice


def train(config: Config, platform: str) -> None:
    """Trains the network that `config` describes on the platform that `device.prepare` chose.

    Raises:
        UserError: data, checkpoint or folder cannot be used, or the loss stopped being finite.
        StoppedError: a signal or the time limit ended the run early; its state is saved.
    """
    if config.bn_statistics == "sync" and platform != "Ascend":
        raise UserError(f"bn_statistics: sync needs Ascend, MindSpore's {platform} has none; pass master or mean")
    kernels = choose_kernels(config, platform)
    group = communication.join(config)
    config = config.model_copy(update={"rank": group.rank, "group_size": group.size, "cpu_kernels": kernels})
    check_writable(Path(config.ckpt_path))  # before the files are checked, which can take long
    with owning(Path(config.ckpt_path), "ckpt_path") if group.rank == 0 else contextlib.nullcontext():
        _train(config, platform, group)


def _train(config: Config, platform: str, group: Group) -> None:
    """The run of one rank, in a folder that is this run's alone."""
    saved = resume.find_checkpoint(config)
    workers = worker_count(config.num_parallel_workers)
    with communication.master_first(group):  # it checks files and fetches weights; the others find what it left
        train_index, eval_index = open_training_data(config, workers)
        for name in filter(None, (config.pretrained if not saved else "", config.teacher)):
            local_path(Path(name), config.cache_dir)
    for index in filter(None, (train_index, eval_index)):
        communication.check_same_images(len(index), index.fingerprint, group)
    geometry = divide(config, len(train_index), group, platform)
    digest = teacher_digest(config)
    if saved:
        resume.check_same_run(saved, config, train_index.fingerprint, workers, digest)
        if resume.is_finished(saved, config, geometry.steps_per_epoch, evaluates=_evaluates(config, eval_index)):
            log.info("%s is the end of its run: nothing is left to do. To train longer, raise max_epoch and pass "
                     "--resume_allow max_epoch", saved.path)  # fmt: skip
            communication.barrier(group)
            return

    rates = learning_rates(config, geometry.steps_per_epoch, geometry.images_per_step)
    network, step = _network_and_step(config, platform, group, rates, train_index, saved)
    communication.check_same_parameters(network, group, trained_only=False)

    folder = open_folder(config, group, saved, **_mark(train_index))
    _write_split(config, folder, train_index, eval_index)
    _log_start(config, platform, group, train_index, eval_index, geometry, workers)
    folder.metrics.write("start", **_start_facts(config, platform, group, train_index, eval_index, geometry))
    steps = StepLog(
        rates, geometry, config.log_interval, folder.metrics, saved.resumable.step if saved else 0,
        advice(workers, available_cores(), train_index.images.kind),
    )  # fmt: skip
    try:
        epochs = Epochs(step, steps, _graphs(config, step, steps.step // geometry.steps_per_epoch, group, platform))
        if config.performance or config.profile:
            _measure(config, group, folder, train_index, workers, epochs, platform)
        else:
            preprocessing = preprocessing_from(config)
            validation = None
            if eval_index is not None and _evaluates(config, eval_index):
                validation = Validation(config, eval_index, preprocessing, workers, group, network.padding)
            info = _description(config, network, train_index, preprocessing)
            start = _start_of(config, train_index, workers, digest)
            Loop(
                config, group, folder, train_index, workers, network, step, steps, epochs, validation, info, start,
            ).run(saved)  # fmt: skip
        communication.check_same_parameters(network, group)
        communication.barrier(group)
    finally:
        steps.close()


def _network_and_step(
    config: Config, platform: str, group: Group, rates: NDArray[np.float32], index: ImageIndex, saved: Optional[Checkpoint]
) -> tuple[nn.Cell, TrainStep]:
    """What is trained and what trains it, in the state of the checkpoint where the run is resumed."""
    network = create_network(config, saved, group)
    teacher = load_teacher(config, platform, index.class_names)
    step = create_step(network, rates, config, platform, group, class_weights(config, index.labels), teacher)
    if saved:
        resume.restore(network, step, saved)
    return network, step


def _graphs(config: Config, step: TrainStep, epoch: int, group: Group, platform: str) -> Optional[GraphCache]:
    """Where the compiled step is kept, if it is: the one for the crops of the first epoch to be trained, from 0."""
    if not config.compile_cache:
        return None
    at_size = config.model_copy(update={"image_size": config.crop_size(epoch)})
    return GraphCache(Path(config.cache_dir), graph_name(step, at_size, group, platform))


def _write_split(config: Config, folder: RunFolder, train_index: ImageIndex, eval_index: Optional[ImageIndex]) -> None:
    """Notes which images train and which are held out, where it was chosen here."""
    if config.val_split or config.images_per_class or config.label_file:
        held_out = {"val": eval_index} if eval_index is not None and eval_index.images is train_index.images else {}
        folder.write_split(train=train_index, **held_out)


def _evaluates(config: Config, eval_index: Optional[ImageIndex]) -> bool:
    return eval_index is not None and config.eval_interval > 0


def divide(config: Config, images: int, group: Group = ALONE, platform: str = "CPU") -> Geometry:
    """Epochs and steps of a run. Raises UserError where the images do not fill one step."""
    on_one_process = config.per_batch_size * config.accumulate_steps
    steps = steps_per_epoch(images, on_one_process, group)
    if not steps:
        factors = {"accumulate_steps": config.accumulate_steps, "processes": group.size}
        times = "".join(f" x {value} {key}" for key, value in factors.items() if value > 1)
        raise UserError(f"per_batch_size: {config.per_batch_size}{times} is more than the {images} training images")
    batches, sink_size = steps * config.accumulate_steps, config.sink_size
    if batches % sink_size:
        fitting = max(size for size in range(1, sink_size) if batches % size == 0)
        raise UserError(f"sink_size: {sink_size} does not divide the {batches} batches of an epoch; {fitting} does")
    if sink_size > 1 and platform == "CPU":
        log.warning("sink_size: has no effect on the CPU, which takes its batches one by one")
        sink_size = 1
    return Geometry(config.max_epoch, steps, config.accumulate_steps, on_one_process * group.size, sink_size)


def _description(config: Config, network: nn.Cell, index: ImageIndex, preprocessing: Preprocessing) -> ModelInfo:
    """What every checkpoint of the run says of itself as a model."""
    return ModelInfo(
        backbone=config.backbone,
        num_classes=config.num_classes,
        padding=network.padding,
        class_names=index.class_names,
        preprocessing=preprocessing,
        mindspore=ms.__version__,
    )


def _start_of(config: Config, index: ImageIndex, workers: int, teacher: str) -> RunState:
    """The state before the first step."""
    images = TrainingImages(kind=index.images.kind, fingerprint=index.fingerprint)
    return RunState(
        epoch=0, step=0, evaluation=None, best=Best(top1=-1.0), config=config.resolved(), dataset=images,
        data_workers=workers, teacher=teacher,
    )  # fmt: skip


def _mark(index: ImageIndex) -> dict[str, str]:
    """What every line of the metrics says beside its values: accuracies on made-up images mean nothing."""
    return {"dataset": "synthetic"} if index.images.kind == "synthetic" else {}


def _start_facts(
    config: Config, platform: str, group: Group, train_index: ImageIndex, eval_index: Optional[ImageIndex],
    geometry: Geometry,
) -> dict[str, Any]:  # fmt: skip
    """What metrics.jsonl keeps of where and on what a run started."""
    return {
        "network": config.backbone, "platform": platform, "processes": group.size, **machine(),
        "num_classes": config.num_classes, "train_images": len(train_index), "eval_images": len(eval_index or ()),
        "steps_per_epoch": geometry.steps_per_epoch,
    }  # fmt: skip


def _log_start(
    config: Config, platform: str, group: Group, train_index: ImageIndex, eval_index: Optional[ImageIndex],
    geometry: Geometry, workers: int,
) -> None:  # fmt: skip
    processes = f", {group.size} processes" if config.is_distributed else ""
    log.info(
        "%s on %s: %d classes, %d %straining images, %d for evaluation, %d epochs of %d steps, %d data workers%s%s",
        config.backbone, platform, config.num_classes, len(train_index), "synthetic " * bool(_mark(train_index)),
        len(eval_index or ()), config.max_epoch, geometry.steps_per_epoch, workers, processes,
        ", blocked kernels" * (config.cpu_kernels == "blocked"),
    )  # fmt: skip


def _measure(
    config: Config, group: Group, folder: RunFolder, index: ImageIndex, workers: int, epochs: Epochs,
    platform: str,
) -> None:  # fmt: skip
    """Times or traces some steps; nothing is evaluated or saved."""

    def pipelines(epoch: int) -> ds.Dataset:
        return train_pipeline(index, config, epoch, workers, group=group)

    with naming_bad_images(index):
        if config.profile:
            trace(epochs, pipelines, config.profile, Path(config.ckpt_path) / "profile" / f"rank_{group.rank}", platform)
        else:
            measure(epochs, pipelines, config.performance_steps, folder)
