"""`weights average`: the mean of several checkpoints of one network, with running statistics of its own."""

import argparse
import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from numpy.typing import NDArray

from .. import checkpoint
from ..checkpoint import Checkpoint
from ..config import KEYS, Config, build_config
from ..data.datasets import open_training_data
from ..data.pipeline import read_batches, train_pipeline
from ..device import worker_count
from ..errors import UserError
from ..models.inputs import OnBytes
from ..progress import bar
from .writing import network_with

log = logging.getLogger("resnet_zoo")

# Of a run's configuration: what has no part in the statistics of plain images, and what a single process does not need.
_PLAIN: dict[str, Any] = {
    "mixup_alpha": 0, "cutmix_alpha": 0, "random_erase_prob": 0, "is_distributed": 0, "rank": 0, "group_size": 1,
    "resume": "", "resume_allow": "", "pretrained": "", "enable_modelarts": 0, "sink_size": 1, "accumulate_steps": 1,
}  # fmt: skip


def average_files(options: argparse.Namespace) -> None:
    """The command, after MindSpore was prepared.

    Raises:
        UserError: a file cannot be used, the files are not of one network, or the training images cannot be read.
    """
    members = [checkpoint.load(path) for path in options.files]
    check_alike(members)
    values = mean_of([{name: value.asnumpy() for name, value in member.weights.items()} for member in members])
    info = members[0].info.model_copy(update={"averaged": True})
    network = network_with(values, info)
    if not options.keep_statistics:
        config = _configuration(members[0], options)
        index, _ = open_training_data(config, workers := worker_count(config.num_parallel_workers))
        batches = train_pipeline(index, config, 0, workers)
        count = min(-(-options.images // config.per_batch_size), batches.get_dataset_size())
        if not count:
            raise UserError(f"per_batch_size: {config.per_batch_size} is more than the {len(index)} training images")
        images = (batch[0] for batch in islice(read_batches(batches), count))
        running = OnBytes(network, config.mean, config.std) if config.device_normalization else network
        recompute_statistics(running, bar(images, desc="statistics", total=count))
        log.info("running statistics of %d training images", count * config.per_batch_size)
    checkpoint.save(network.set_train(False), options.output, info)
    log.info("%s: mean of %d checkpoints", options.output, len(members))


def check_alike(members: list[Checkpoint]) -> None:
    """Raises UserError where a checkpoint is of another network than the first, or of other classes or images."""
    first = members[0]
    for member in members:
        if not member.info.backbone or not member.info.num_classes:
            raise UserError(
                f"{member.path}: does not say of which network it is; import it with python -m src.weights first"
            )
        for key in ("backbone", "num_classes", "class_names", "padding", "preprocessing"):
            if getattr(member.info, key) != getattr(first.info, key):
                raise UserError(f"{member.path}: its {key} is not that of {first.path}; average checkpoints of one run")
        shapes = [{name: tuple(value.shape) for name, value in one.weights.items()} for one in (first, member)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{member.path}: its weights are not named and shaped as those of {first.path}")


def mean_of(members: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[np.float32]]:
    """The mean of every weight, float32, added up in float64 (Izmailov et al. 2018, arXiv 1803.05407)."""
    return {
        name: np.mean([member[name].astype(np.float64) for member in members], axis=0).astype(np.float32)
        for name in members[0]
    }


def recompute_statistics(network: nn.Cell, batches: Iterable[NDArray[Any]]) -> None:
    """Sets the running statistics of all batch norms to their mean over batches.

    A mean of weights has activations that no member has, so the mean of running statistics is not its own.

    Reference: Izmailov et al. 2018, arXiv 1803.05407, section 3.2; Wu and Johnson 2021, arXiv 2105.07576, section 3.

    Args:
        network: changed in place, and left in training mode.
        batches: of images, as `network` takes them; at least one.
    """
    layers = [cell for _, cell in network.cells_and_names() if isinstance(cell, nn.BatchNorm2d)]
    statistics = [(layer, p) for layer in layers for p in (layer.moving_mean, layer.moving_variance)]
    sums = [np.zeros(tuple(parameter.shape)) for _, parameter in statistics]
    network.set_train(True)
    count = 0
    for images in batches:
        for _, parameter in statistics:
            ops.assign(parameter, ops.zeros_like(parameter))
        network(ms.Tensor(images))  # from 0 they move by the layer's share of what the batch has
        for i, (layer, parameter) in enumerate(statistics):
            sums[i] += parameter.asnumpy() / np.float64(layer.momentum)
        count += 1
    for total, (_, parameter) in zip(sums, statistics):
        ops.assign(parameter, ms.Tensor((total / count).astype(np.float32)))


def _configuration(member: Checkpoint, options: argparse.Namespace) -> Config:
    """How the run of a checkpoint read its training images; `options.data_dir` says where they are now."""
    if member.run is None:
        raise UserError(
            f"{member.path}: is not of a run, which would say how its images were read; pass --keep_statistics, which "
            "takes the mean of the running statistics"
        )
    then = {key: value for key, value in member.run.config.items() if key in KEYS}
    given = {"data_dir": options.data_dir} if options.data_dir else {}
    return build_config({**then, **_PLAIN, **given})
