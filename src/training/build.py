"""Makes what a run trains with, from its configuration: network and training step."""

from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray

from .. import checkpoint
from ..checkpoint import Checkpoint
from ..config import Config
from ..distributed.collectives import GradientMean
from ..distributed.group import ALONE, Group
from ..models.create import create_model
from ..models.regularization import number_random_layers
from ..weights.by_name import local_path
from .batches import PreparedBatch
from .distillation import DistillationLoss, TaughtBatch, Teacher
from .finetune import freeze, start_from
from .losses import create_loss
from .optimizers import create_optimizer
from .precision import mixed_precision
from .step import MovingAverage, TrainStep
from .tally import Tally


def create_network(config: Config, resumed_from: Optional[Checkpoint] = None, group: Group = ALONE) -> nn.Cell:
    """The network to train, with fresh weights or those of `pretrained`, frozen up to `freeze`.

    Args:
        config: with the choice of kernels made.
        resumed_from: the checkpoint whose weights it will get instead.
    """
    source = resumed_from
    if source is None and config.pretrained:
        source = checkpoint.load(local_path(Path(config.pretrained), config.cache_dir))
        source = source.averaged() if config.use_ema else source
    network = create_model(
        config.backbone, config.num_classes, config.group_conv, config.drop_rate, config.drop_block_rate,
        config.drop_path_rate, source.info.padding if source else "symmetric", config.bn_statistics == "sync",
        config.in_channels, "blocked" if config.cpu_kernels == "blocked" else "stock",
    )  # fmt: skip
    number_random_layers(network, group.rank)
    if source and source is not resumed_from:
        start_from(network, source)
    if config.freeze:
        freeze(network, config.freeze)
    return network


def create_step(
    network: nn.Cell, rates: NDArray[np.float32], config: Config, platform: str, group: Group = ALONE,
    class_weights: Optional[NDArray[np.float32]] = None, teacher: Optional[Teacher] = None,
) -> TrainStep:  # fmt: skip
    """The training step that `config` describes, on batches of `train_pipeline`.

    Args:
        rates: learning rate of every step of the run.
        class_weights: what `losses.class_weights` gives.
        teacher: what `load_teacher` gives.
    """
    optimizer = create_optimizer(network, rates, config)
    loss, prepare = create_loss(config, class_weights), PreparedBatch(config)
    if teacher is not None:
        loss = DistillationLoss(loss, config.distillation, config.distillation_weight, config.temperature)
        prepare = TaughtBatch(prepare, teacher)
    # What the blocked kernels compute in, float32 and bfloat16, has exponents enough; dividing a scale out again, which
    # changes no bit, is a pass over all gradients.
    blocked = config.cpu_kernels == "blocked"
    needs_scale = config.is_dynamic_loss_scale or not blocked
    step = TrainStep(
        mixed_precision(network, config.amp_level, config.amp_dtype, platform),
        optimizer,
        loss,
        loss_scale=config.loss_scale if needs_scale else 1.0,
        scale_window=config.loss_scale_window if config.is_dynamic_loss_scale else 0,
        accumulate_steps=config.accumulate_steps,
        clip_norm=config.clip_grad_norm,
        average=MovingAverage(network, config.ema_decay, blocked) if config.ema_decay else None,
        reduce_gradients=(
            GradientMean(optimizer.parameters, group.size, config.allreduce_fusion_mb) if group.size > 1 else None
        ),
        tally=Tally(config.log_interval * config.accumulate_steps),
        prepare=prepare,
        blocked=blocked,
    )
    if config.jit_level != "default":
        step.set_jit_config(ms.JitConfig(jit_level=config.jit_level))
    return step
