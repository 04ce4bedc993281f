"""Checkpoints: a network's weights and all that is needed to use them, in one MindSpore `.ckpt` file.

Beside the weights a file holds `metadata` (JSON: configuration, class names, preprocessing, epoch, step, metrics) and
`sha256`, over all tensors and the metadata. Files of other programs have neither; they are read without that check.
Checkpoints of a run hold the training state too (momentum, loss scale, averaged weights, ...): tensors named `train.*`.
"""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn

from .errors import UserError, describe_os_error, first_of
from .files import replacing

STATE_PREFIX = "train."  # of the names of all that only training needs
FOREIGN_ENDINGS = (".safetensors", ".pth", ".pt")  # of files that src/weights reads
AVERAGED = "ema."  # of the names, within the training state, of the averaged weights

log = logging.getLogger("resnet_zoo")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        path: the file.
        weights: parameter name -> parameter, of the network alone.
        metadata: what the file says of itself; empty for files that another program wrote.
        state: the training state, name without its prefix -> parameter; empty in a file made to be used, not resumed.
    """

    path: Path
    weights: dict
    metadata: dict
    state: dict = field(default_factory=dict)

    @property
    def padding(self) -> str:
        """Where strided windows of the network lie (`ResNetSpec`)."""
        return self.metadata.get("padding", "symmetric")

    def averaged(self) -> "Checkpoint":
        """The same with the averaged weights in place of the raw ones. Raises UserError where it holds none."""
        if self.metadata.get("averaged"):
            return self
        weights = {name[len(AVERAGED) :]: value for name, value in self.state.items() if name.startswith(AVERAGED)}
        if not weights:
            raise UserError(f"use_ema: {self.path} holds no averaged weights; train with --ema_decay 0.9999, or pass 0")
        return replace(self, weights=weights)


def parameters_of(network: nn.Cell) -> dict:
    """Name -> parameter of what a network needs to be used, which leaves out what only training needs."""
    return {p.name: p for p in network.get_parameters() if not p.name.startswith(STATE_PREFIX)}


def weights_of(network: nn.Cell) -> dict:
    """Name -> values of what a network needs to be used; on the CPU the arrays share memory with the network."""
    return {name: parameter.asnumpy() for name, parameter in parameters_of(network).items()}


def save(network: nn.Cell, path: Path, metadata: dict, state: Optional[dict] = None) -> None:
    """Writes a checkpoint; after a kill at any moment the path holds the old file or the new one, whole.

    Args:
        metadata: what can be written as JSON.
        state: training state, name -> array; none for a file that is to be used but not resumed from.

    Raises:
        UserError: a value is not finite, or the file cannot be written (the old one is kept).
    """
    tensors = {**weights_of(network), **{STATE_PREFIX + name: values for name, values in (state or {}).items()}}
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise UserError(f"{path}: not written, because weight {name} holds NaN or Inf")
    text = json.dumps(metadata)
    with replacing(path) as temporary, _quiet_mindspore():
        ms.save_checkpoint(
            [{"name": name, "data": ms.Tensor(values)} for name, values in tensors.items()],
            str(temporary),
            append_dict={"metadata": text, "sha256": _digest(tensors, text)},
        )


def load(path: Path) -> Checkpoint:
    """Reads and checks a checkpoint.

    Raises:
        UserError: no such file, not a checkpoint, truncated, or changed since it was written.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint file")
    if path.suffix in FOREIGN_ENDINGS:
        command = f"python -m src.weights --backbone NAME --source {path} --output {path.with_suffix('.ckpt')}"
        raise UserError(f"{path}: weights of a PyTorch program; import them first: {command}")
    try:
        with _quiet_mindspore():
            content = ms.load_checkpoint(str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {describe_os_error(error)}") from None
    except (ValueError, RuntimeError, TypeError, KeyError):
        raise UserError(f"{path}: not a MindSpore checkpoint, or truncated or damaged; use another one") from None
    text, digest = content.pop("metadata", None), content.pop("sha256", None)
    if (text is None) != (digest is None):
        raise UserError(f"{path}: damaged: its metadata or its checksum is gone; use another one")
    if text is None:
        log.info("%s: written by another program, no checksum to verify", path)
        return Checkpoint(path, content, {})
    if _digest({name: parameter.asnumpy() for name, parameter in content.items()}, str(text)) != str(digest):
        raise UserError(f"{path}: damaged: the checksum does not match its content; use another one")
    state = {name[len(STATE_PREFIX) :]: content.pop(name) for name in list(content) if name.startswith(STATE_PREFIX)}
    return Checkpoint(path, content, json.loads(str(text)), state)


def load_into(network: nn.Cell, checkpoint: Checkpoint) -> None:
    """Copies the weights into a network whose parameters have the same names and shapes.

    Raises:
        UserError: names missing from or unknown to the network, or shapes that differ; the first of each are named.
    """
    expected = {name: tuple(parameter.shape) for name, parameter in parameters_of(network).items()}
    actual = {name: tuple(parameter.shape) for name, parameter in checkpoint.weights.items()}
    differences = {
        "missing": [name for name in expected if name not in actual],
        "unknown": [name for name in actual if name not in expected],
        "of another shape": [
            f"{name} {actual[name]} instead of {shape}"
            for name, shape in expected.items()
            if name in actual and actual[name] != shape
        ],
    }
    problems = [f"{len(names)} {kind} ({first_of(names)})" for kind, names in differences.items() if names]
    if problems:
        found = "; ".join(problems)
        raise UserError(f"{checkpoint.path}: does not fit the network: {found}; check backbone and num_classes")
    ms.load_param_into_net(network, checkpoint.weights)


def newest_first(folder: Path) -> list:
    """The `.ckpt` files of a folder, the newest first."""
    return sorted(folder.glob("[!.]*.ckpt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)


def _digest(weights: dict, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(weights):
        values = np.ascontiguousarray(weights[name])
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.data)
    return digest.hexdigest()


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
