"""Checkpoints: a network's weights and all that is needed to use them, in one MindSpore `.ckpt` file.

Beside the weights a file holds `metadata` (JSON: `ModelInfo` and, of a run, `RunState`) and `sha256`, over all tensors and
the metadata. Files of other programs have neither; they are read without that check. Checkpoints of a run hold the training
state too (momentum, loss scale, averaged weights, ...): tensors named `train.*`.
"""

import contextlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Optional

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray
from pydantic import Field, PlainValidator

from .checkpoint_file import STATE_PREFIX, digest_of, tensor_of
from .compat import as_tensor_takes_it
from .described import Count, Described, Text, checked
from .errors import UserError, first_of
from .files import replacing
from .model_info import Best, LastEvaluation, ModelInfo, describe_checkpoint

FOREIGN_ENDINGS = (".safetensors", ".pth", ".pt")  # of files that src/weights reads
AVERAGED = "ema."  # of the names, within the training state, of the averaged weights

log = logging.getLogger("resnet_zoo")


def _setting(value: Any) -> Any:
    items = value if isinstance(value, (list, tuple)) else [value]
    if len(items) > 1000 or any(isinstance(item, str) and len(item) > 4096 for item in items):
        raise ValueError("a list or text that is too long")
    if not all(isinstance(item, (bool, int, float, str, type(None))) for item in items):
        raise ValueError("expected a number, a text, true or false, or a list of them")
    return value


class TrainingImages(Described):
    """What a run trained on: the kind of source, and `ImageIndex.fingerprint`."""

    kind: Text
    fingerprint: Text


class RunState(Described):
    """What only going on with a run needs.

    Attributes:
        epoch, step: the last one done, from 1.
        evaluation: the last one; None before the first.
        config: the run's configuration, as JSON.
        data_workers: threads of the input pipeline.
        teacher: SHA-256 of the file of a distillation's teacher; "" without one.
        tensors: the training state, name without its prefix -> parameter; empty in a file made to be used, not resumed.
    """

    epoch: Count
    step: Count
    evaluation: LastEvaluation
    best: Best
    config: Annotated[dict[Text, Annotated[Any, PlainValidator(_setting)]], Field(max_length=1000)]
    dataset: TrainingImages
    data_workers: Count
    teacher: Text = ""
    tensors: dict[str, Any] = Field(default={}, exclude=True)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        path: the file.
        weights: parameter name -> parameter, of the network alone.
        info: what the file says of itself; nothing for files that another program wrote.
        run: what only a resume needs; None where the file is not of a run.
    """

    path: Path
    weights: dict[str, ms.Parameter]
    info: ModelInfo
    run: Optional[RunState] = None

    @property
    def resumable(self) -> RunState:
        """What a resume needs, of a checkpoint that `resume.find_checkpoint` found."""
        assert self.run is not None, f"{self.path}: no training state"
        return self.run

    def averaged(self) -> "Checkpoint":
        """The same with the averaged weights in place of the raw ones. Raises UserError where it holds none."""
        if self.info.averaged:
            return self
        state = self.run.tensors if self.run else {}
        weights = {name[len(AVERAGED) :]: value for name, value in state.items() if name.startswith(AVERAGED)}
        if not weights:
            raise UserError(f"use_ema: {self.path} holds no averaged weights; train with --ema_decay 0.9999, or pass 0")
        return replace(self, weights=weights)


def parameters_of(network: nn.Cell) -> dict[str, ms.Parameter]:
    """Name -> parameter of what a network needs to be used, which leaves out what only training needs."""
    return {p.name: p for p in network.get_parameters() if not p.name.startswith(STATE_PREFIX)}


def weights_of(network: nn.Cell) -> dict[str, NDArray[Any]]:
    """Name -> values of what a network needs to be used; on the CPU the arrays share memory with the network."""
    return {name: parameter.asnumpy() for name, parameter in parameters_of(network).items()}


def save(network: nn.Cell, path: Path, info: ModelInfo, run: Optional[RunState] = None) -> None:
    """Writes a checkpoint; after a kill at any moment the path holds the old file or the new one, whole.

    Args:
        run: of a training run; its tensors are arrays. Without tensors, the file is to be used but not resumed from.

    Raises:
        UserError: a value is not finite, or the file cannot be written (the old one is kept).
    """
    tensors = weights_of(network)
    if run:
        tensors.update({STATE_PREFIX + name: values for name, values in run.tensors.items()})
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise UserError(f"{path}: not written, because weight {name} holds NaN or Inf")
    text = json.dumps({**info.to_dict(), **(run.to_dict() if run else {})})
    digest = digest_of({name: tensor_of(values) for name, values in tensors.items()}, text)
    with replacing(path) as temporary, _quiet_mindspore():
        ms.save_checkpoint(
            [{"name": name, "data": ms.Tensor(values)} for name, values in tensors.items()],
            str(temporary),
            append_dict={"metadata": text, "sha256": digest},
        )


def load(path: Path) -> Checkpoint:
    """Reads and checks a checkpoint.

    Raises:
        UserError: no such file, not a checkpoint, truncated, changed since it was written, or a description that makes no
            sense.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file")
    if path.suffix in FOREIGN_ENDINGS:
        command = f"python -m src.weights --backbone NAME --source {path} --output {path.with_suffix('.ckpt')}"
        raise UserError(f"{path}: weights of a PyTorch program; import them first: {command}")
    tensors, info, described = describe_checkpoint(path)
    weights = {
        name: ms.Parameter(ms.Tensor(as_tensor_takes_it(tensor.values())), name=name) for name, tensor in tensors.items()
    }
    if not described:
        log.info("%s: written by another program, no checksum to verify", path)
        return Checkpoint(path, weights, info)
    state = {name[len(STATE_PREFIX) :]: weights.pop(name) for name in tensors if name.startswith(STATE_PREFIX)}
    of_a_run = RunState.model_fields.keys() & described.keys()
    run = checked(RunState, {**described, "tensors": state}, path) if of_a_run else None
    return Checkpoint(path, weights, info, run)


def load_into(network: nn.Cell, checkpoint: Checkpoint) -> None:
    """Copies the weights into a network whose parameters have the same names and shapes.

    Raises:
        UserError: names missing from or unknown to the network, or shapes that differ; the first of each are named.
    """
    expected = {name: tuple(parameter.shape) for name, parameter in parameters_of(network).items()}
    actual = {name: tuple(parameter.shape) for name, parameter in checkpoint.weights.items()}
    both = [name for name in expected if name in actual]
    differences = {
        "missing": [name for name in expected if name not in actual],
        "unknown": [name for name in actual if name not in expected],
        "of another shape": [
            f"{name} {actual[name]} instead of {expected[name]}" for name in both if actual[name] != expected[name]
        ],
        "no floating-point numbers": [name for name in both if not checkpoint.weights[name].is_floating_point()],
    }
    problems = [f"{len(names)} {kind} ({first_of(names)})" for kind, names in differences.items() if names]
    if problems:
        found = "; ".join(problems)
        raise UserError(f"{checkpoint.path}: does not fit the network: {found}; check backbone and num_classes")
    ms.load_param_into_net(network, checkpoint.weights)


def newest_first(folder: Path) -> list[Path]:
    """The `.ckpt` files of a folder, the newest first."""
    return sorted(folder.glob("[!.]*.ckpt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


@contextlib.contextmanager
def _quiet_mindspore() -> Iterator[None]:
    """Keeps MindSpore's own log of a failure off the screen; ours is one line."""
    logger: Optional[logging.Logger] = getattr(ms.log, "_get_logger", lambda: None)()
    level = logger.level if logger else 0
    if logger:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        if logger:
            logger.setLevel(level)
