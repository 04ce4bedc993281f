"""Going on with an interrupted run: which checkpoint, whether it fits, and putting its state back."""

import re
from pathlib import Path
from typing import Any, Optional

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray

from .. import checkpoint
from ..checkpoint import STATE_PREFIX, Checkpoint, parameters_of
from ..config import KEYS, Config, build_config
from ..errors import UserError, first_of
from ..log import log
from .distillation import TEACHER
from .step import GRADIENT_MEANS, TrainStep
from .stopping import stops_early
from .tally import TALLY

_MOMENTUM = "momentum"  # a key, which checkpoints of versions up to 1.0 also kept among the state
DATA, WORKERS = "data", "workers"  # what `resume_allow` may name besides configuration keys


def numbered_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints `<backbone>-<epoch>_<step>.ckpt` of a run, by step, the last one first."""
    found = ((path, re.fullmatch(r"[^.].*-\d+_(\d+)\.ckpt", path.name)) for path in folder.glob("*.ckpt"))
    steps = {path: int(match[1]) for path, match in found if match}
    return sorted(steps, key=lambda path: steps[path], reverse=True)


def find_checkpoint(config: Config) -> Optional[Checkpoint]:
    """The checkpoint that `config.resume` means; None for a run from the start.

    Raises:
        UserError: the file named cannot be used, or none of those in `ckpt_path` can.
    """
    if not config.resume:
        return None
    if config.resume != "auto":
        return _load_resumable(Path(config.resume))
    folder = Path(config.ckpt_path)
    candidates = numbered_checkpoints(folder)
    if not candidates:
        log.info("resume: no checkpoints in %s; the run starts from the beginning", folder)
        return None
    for path in candidates:
        try:
            return _load_resumable(path)
        except UserError as error:
            log.warning("resume: passed over %s", error)
    raise UserError(f"resume: none of the {len(candidates)} checkpoints in '{folder}' can be used; see the lines above")


def _load_resumable(path: Path) -> Checkpoint:
    saved = checkpoint.load(path)
    if saved.run is None or not saved.run.tensors:
        raise UserError(f"{path}: holds weights only, no training state; --pretrained {path} starts a new run from it")
    return saved


def check_same_run(saved: Checkpoint, config: Config, fingerprint: str, workers: int, teacher: str = "") -> None:
    """Raises UserError where the checkpoint's run differs from this one in what decides the weights.

    Differences that `resume_allow` names are logged instead.

    Args:
        fingerprint: of the training data (`ImageIndex.fingerprint`).
        workers: threads of the input pipeline; the random numbers of augmentation depend on it.
        teacher: what `teacher_digest` gives.
    """
    now = config.resolved()
    not_there_yet = {**build_config().resolved(), "cpu_kernels": "stock"}
    then = {**not_there_yet, **saved.resumable.config}
    deciding = [key.name for key in KEYS.values() if key.decides]
    differences = {key: f"{then[key]!r} then, {now[key]!r} now" for key in deciding if then[key] != now[key]}
    if saved.resumable.dataset.fingerprint != fingerprint:
        differences[DATA] = "the training images are not those of then"
    if saved.resumable.data_workers != workers:
        differences[WORKERS] = f"{saved.resumable.data_workers} data workers then, {workers} now"
    if saved.resumable.teacher != teacher:
        differences["teacher"] = "the file is not that of then"
    refused = [key for key in differences if key not in config.resume_allow]
    if refused:
        found = first_of([f"{key} ({differences[key]})" for key in refused])
        raise UserError(
            f"resume: {saved.path} is of another run: {found}; give the same values, or allow the change with "
            f"--resume_allow {','.join(refused)}"
        )
    for key, difference in differences.items():
        log.warning("resume: %s changes, as allowed: %s", key, difference)


def is_finished(saved: Checkpoint, config: Config, steps_per_epoch: int, evaluates: bool) -> bool:
    """Whether nothing is left to do of a checkpoint's run.

    Args:
        steps_per_epoch: updates of the weights per epoch.
        evaluates: whether the run evaluates its weights at its end.
    """
    epoch, within = divmod(saved.resumable.step, steps_per_epoch)
    if within:
        return False
    last = saved.resumable.evaluation
    evaluated = last is not None and last.epoch == epoch
    return (epoch == config.max_epoch and (evaluated or not evaluates)) or stops_early(config, epoch, saved.resumable.best)


def state_of(network: nn.Cell, step: TrainStep) -> dict[str, NDArray[Any]]:
    """All that a step keeps besides the network's weights, name -> array: momentum, position, loss scale, averages, ..."""
    return {name: parameter.asnumpy() for name, parameter in _state_parameters(network, step).items()}


def restore(network: nn.Cell, step: TrainStep, saved: Checkpoint) -> None:
    """Puts the network's weights and the step's state back.

    Raises:
        UserError: the checkpoint is of another network, or lacks part of the state or has more.
    """
    checkpoint.load_into(network, saved)
    parameters = _state_parameters(network, step)
    saved.resumable.tensors.pop(_MOMENTUM, None)
    if set(parameters) != set(saved.resumable.tensors):
        differing = sorted(set(parameters) ^ set(saved.resumable.tensors))
        raise UserError(f"{saved.path}: its training state is of another kind of run ({first_of(differing)})")
    for name, parameter in parameters.items():
        value = saved.resumable.tensors[name].asnumpy()
        if value.shape != tuple(parameter.shape):
            raise UserError(f"{saved.path}: {name} has shape {value.shape} instead of {tuple(parameter.shape)}")
        parameter.set_data(ms.Tensor(np.array(value), parameter.dtype))


def _state_parameters(network: nn.Cell, step: TrainStep) -> dict[str, ms.Parameter]:
    """Without what the configuration gives (schedule, teacher), gradient sums, which are 0 between steps, and the tally."""
    left_out = {*parameters_of(network), "learning_rate"}
    return {
        parameter.name.removeprefix(STATE_PREFIX): parameter
        for parameter in step.get_parameters()
        if parameter.name not in left_out and not parameter.name.startswith((GRADIENT_MEANS, TALLY, TEACHER))
    }
