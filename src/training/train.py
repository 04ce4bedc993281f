"""Sets a training run up: data, network, training step, folder; then trains."""

from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn

from .. import checkpoint
from ..checkpoint import Checkpoint
from ..config import Config
from ..data.datasets import open_training_data
from ..data.order import steps_per_epoch
from ..device import worker_count
from ..distributed import communication
from ..distributed.group import ALONE, Group
from ..errors import UserError
from ..log import log
from ..models.create import create_model
from ..models.regularization import number_random_layers
from . import resume
from .callbacks import Geometry, Progress
from .finetune import freeze, start_from
from .losses import create_loss
from .optimizers import create_optimizer
from .precision import mixed_precision
from .run import Run
from .run_folder import check_writable, open_folder
from .schedules import learning_rates
from .step import MovingAverage, TrainStep


def train(config: Config, platform: str) -> None:
    """Trains the network that `config` describes on the platform that `device.prepare` chose.

    Raises:
        UserError: data, checkpoint or folder cannot be used, or the loss stopped being finite.
        StoppedError: a signal or the time limit ended the run early; its state is saved.
    """
    if config.bn_statistics == "sync" and platform != "Ascend":
        raise UserError(f"bn_statistics: sync needs Ascend, MindSpore's {platform} has none; pass master or mean")
    group = join(config, platform)
    config = config.model_copy(update={"rank": group.rank, "group_size": group.size})
    check_writable(Path(config.ckpt_path))  # before the files are checked, which can take long
    saved = resume.find_checkpoint(config)
    workers = worker_count(config.num_parallel_workers)
    with communication.master_first(group):  # it checks the files; the others read what it noted
        train_index, eval_index = open_training_data(config, workers)
    for index in filter(None, (train_index, eval_index)):
        communication.check_same_images(len(index), index.fingerprint, group)
    geometry = divide(config, len(train_index), group)
    if saved:
        resume.check_same_run(saved, config, train_index.fingerprint, workers)

    rates = learning_rates(config, geometry.steps_per_epoch, geometry.images_per_step)
    network = create_network(config, saved, group)
    step = create_step(network, rates, config, platform, group)
    if saved:
        resume.restore(network, step, saved)
    communication.check_same_parameters(network, group, trained_only=False)
    synthetic = train_index.images.kind == "synthetic"
    folder = open_folder(config, group, saved, **({"dataset": "synthetic"} if synthetic else {}))
    processes = f", {group.size} processes" if config.is_distributed else ""
    log.info(
        "%s on %s: %d classes, %d %straining images, %d for evaluation, %d epochs of %d steps, %d data workers%s",
        config.backbone, platform, config.num_classes, len(train_index), "synthetic " * synthetic, len(eval_index or ()),
        config.max_epoch, geometry.steps_per_epoch, workers, processes,
    )  # fmt: skip
    progress = Progress(rates, geometry, config.log_interval, folder.metrics, saved.metadata["step"] if saved else 0)
    run = Run(config, group, folder, network, step, train_index, eval_index, progress, workers)
    try:
        if config.performance:
            run.measure()
        else:
            run.train(saved)
        communication.check_same_parameters(network, group)
        communication.barrier(group)
    finally:
        progress.close()


def join(config: Config, platform: str) -> Group:
    """This process's place among those of a distributed run, of which it then is part; alone without one.

    Raises:
        UserError: the launcher started another number of processes than `group_size` says.
    """
    if not config.is_distributed:
        return ALONE
    group = communication.start()
    if "group_size" in config.given and config.group_size != group.size:
        raise UserError(f"group_size: {config.group_size}, but the launcher started {group.size} processes")
    ms.set_auto_parallel_context(
        parallel_mode=ms.ParallelMode.DATA_PARALLEL, gradients_mean=True, device_num=group.size
    )
    if config.allreduce_fusion_mb and platform != "CPU":  # the CPU's collectives have no fusion
        fusion = {"mode": "size", "config": config.allreduce_fusion_mb}
        ms.set_auto_parallel_context(comm_fusion={"allreduce": fusion})
    return group


def divide(config: Config, images: int, group: Group = ALONE) -> Geometry:
    """Epochs and steps of a run. Raises UserError where the images do not fill one step."""
    on_one_process = config.per_batch_size * config.accumulate_steps
    steps = steps_per_epoch(images, on_one_process, group)
    if not steps:
        factors = {"accumulate_steps": config.accumulate_steps, "processes": group.size}
        times = "".join(f" x {value} {key}" for key, value in factors.items() if value > 1)
        raise UserError(f"per_batch_size: {config.per_batch_size}{times} is more than the {images} training images")
    return Geometry(config.max_epoch, steps, config.accumulate_steps, on_one_process * group.size)


def create_network(config: Config, resumed_from: Optional[Checkpoint] = None, group: Group = ALONE) -> nn.Cell:
    """The network to train, with fresh weights or those of `pretrained`, frozen up to `freeze`.

    Args:
        resumed_from: the checkpoint whose weights it will get instead.
    """
    source = resumed_from
    if source is None and config.pretrained:
        source = checkpoint.load(Path(config.pretrained))
        source = source.averaged() if config.use_ema else source
    network = create_model(
        config.backbone, config.num_classes, config.group_conv, config.drop_rate, config.drop_block_rate,
        config.drop_path_rate, source.padding if source else "symmetric", config.bn_statistics == "sync",
    )  # fmt: skip
    number_random_layers(network, group.rank)
    if source and source is not resumed_from:
        start_from(network, source)
    if config.freeze:
        freeze(network, config.freeze)
    return network


def create_step(network: nn.Cell, rates: np.ndarray, config: Config, platform: str, group: Group = ALONE) -> TrainStep:
    """The training step that `config` describes.

    Args:
        rates: learning rate of every step of the run.
    """
    optimizer = create_optimizer(network, rates, config)
    return TrainStep(
        mixed_precision(network, config.amp_level, config.amp_dtype, platform),
        optimizer,
        create_loss(config),
        loss_scale=config.loss_scale,
        scale_window=config.loss_scale_window if config.is_dynamic_loss_scale else 0,
        accumulate_steps=config.accumulate_steps,
        clip_norm=config.clip_grad_norm,
        average=MovingAverage(network, config.ema_decay) if config.ema_decay else None,
        reduce_gradients=nn.DistributedGradReducer(optimizer.parameters) if group.size > 1 else None,
    )
