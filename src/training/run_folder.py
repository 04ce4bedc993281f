"""The folder of a training run: configuration, log, metrics and checkpoints; the earlier run's files are kept aside."""

import logging
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Optional

from mindspore import nn

from .. import checkpoint
from ..checkpoint import Checkpoint, RunState
from ..config import Config, given_values, to_yaml
from ..data.index import ImageIndex
from ..data.split import write_split
from ..distributed.group import Group
from ..errors import UserError
from ..evaluation import ending
from ..files import replacing, write_text
from ..log import Metrics, log, start_log
from ..model_info import ModelInfo
from ..progress import beat
from .resume import numbered_checkpoints
from .validation import Validation

_LOGS = ("train_*.log", "*_perf.log", "*_acc.log")
_TABLES = ("config.yaml", "resolved.yaml", "split.csv", "metrics.jsonl", "tensorboard", "answers.npz", "label_errors.json")
_FILES = (*_TABLES, "report.html", *_LOGS)


class RunFolder:
    """Gives a run its files below `ckpt_path`.

    Checkpoints are `<backbone>-<epoch>_<step>.ckpt`, of which the newest `keep_checkpoint_max` are kept, `last.ckpt` (the
    newest again) and `best.ckpt` (the highest validation accuracy). The log is `train_<device>.log`, the result
    `<backbone>_bs<batch>_<processes>p_acc.log` or, of a performance run, `..._perf.log`. Files of an earlier run move to
    `previous/<time>/`, unless this run goes on with it.

    Args:
        resumed_from: the checkpoint that the run goes on from.
        always: values for every line of metrics.jsonl.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, config: Config, resumed_from: Optional[Checkpoint] = None, **always):
        self.path = Path(config.ckpt_path)
        self.prefix = config.backbone
        self.keep = config.keep_checkpoint_max
        kind = "perf" if config.performance else "acc"
        self.result_file = self.path / f"{config.backbone}_bs{config.per_batch_size}_{config.group_size}p_{kind}.log"
        check_writable(self.path)
        goes_on = resumed_from is not None and resumed_from.path.resolve().parent == self.path.resolve()
        moved = "" if goes_on else self._set_earlier_run_aside()
        self.saved = numbered_checkpoints(self.path)[::-1]
        start_log(self.path / f"train_{config.device_id}.log")
        if moved:
            log.info("files of the earlier run in %s are now in %s", self.path, moved)
        write_text(self.path / "config.yaml", to_yaml(given_values(config)))
        write_text(self.path / "resolved.yaml", to_yaml(config.resolved()))
        first_step = resumed_from.resumable.step if resumed_from else 0
        events = self.path / "tensorboard" if config.tensorboard else None
        self.metrics = Metrics(self.path / "metrics.jsonl", events, first_step, **always)
        if resumed_from:
            self.metrics.write("resume", step=first_step, checkpoint=str(resumed_from.path))

    def save(self, network: nn.Cell, info: ModelInfo, state: RunState) -> Path:
        """Writes a checkpoint of this epoch and step, and removes the oldest beyond the number to keep."""
        path = _checkpoint_path(self.path, self.prefix, state)
        checkpoint.save(network, path, info, state)
        beat()
        _point(self.path / "last.ckpt", path)
        self.saved = [saved for saved in self.saved if saved != path] + [path]
        while len(self.saved) > self.keep:
            self.saved.pop(0).unlink(missing_ok=True)
        self.metrics.write("checkpoint", epoch=state.epoch, step=state.step, path=str(path))
        return path

    def save_best(self, network: nn.Cell, info: ModelInfo, state: RunState) -> None:
        """Writes `best.ckpt`; `state` has no tensors."""
        checkpoint.save(network, self.path / "best.ckpt", info, state)

    def write_split(self, **parts: ImageIndex) -> None:
        """Writes which images are for what, as `write_split` does."""
        write_split(self.path / "split.csv", **parts)

    def write_result(self, lines: list[str]) -> None:
        """Writes the result of the run, one line per fact."""
        write_text(self.result_file, "".join(line + "\n" for line in lines))

    def write_report(self, validation: Optional[Validation]) -> None:
        """Writes the page of the run; `validation` answers for single images."""
        ending.write_report(self.path, validation.answers if validation else lambda: None)

    def _set_earlier_run_aside(self) -> str:
        earlier = [path for pattern in _FILES for path in self.path.glob(pattern)]
        earlier += checkpoint.newest_first(self.path)
        if not earlier:
            return ""
        aside = self.path / "previous" / time.strftime("%Y%m%d-%H%M%S", time.localtime(earlier[0].stat().st_mtime))
        while aside.exists():
            aside = aside.with_name(aside.name + "x")
        aside.mkdir(parents=True)
        for file in earlier:
            os.replace(file, aside / file.name)
        return str(aside)


class _SilentFolder:
    """Stands in for a `RunFolder` where another rank writes the run's files."""

    def __init__(self, config: Config):
        self.config = config
        self.metrics = self

    def write(self, event: str, **values) -> None:
        """As that of `Metrics`."""

    def save(self, network: nn.Cell, info: ModelInfo, state: RunState) -> Path:
        """The path that rank 0 writes to."""
        return _checkpoint_path(Path(self.config.ckpt_path), self.config.backbone, state)

    def save_best(self, network: nn.Cell, info: ModelInfo, state: RunState) -> None:
        """As that of `RunFolder`."""

    def write_split(self, **parts: ImageIndex) -> None:
        """As that of `RunFolder`."""

    def write_result(self, lines: list[str]) -> None:
        """As that of `RunFolder`."""

    def write_report(self, validation: Optional[Validation]) -> None:
        """As that of `RunFolder`."""


def open_folder(config: Config, group: Group, resumed_from: Optional[Checkpoint] = None, **always):
    """The folder that this rank writes to: `ckpt_path`, for other ranks than 0 `rank_<n>` in it, or nowhere.

    Args:
        always: values for every line of metrics.jsonl.
    """
    if group.rank == 0:
        return RunFolder(config, resumed_from, **always)
    if config.is_save_on_master:
        log.setLevel(logging.WARNING)
        return _SilentFolder(config)
    own = config.model_copy(update={"ckpt_path": str(Path(config.ckpt_path) / f"rank_{group.rank}")})
    return RunFolder(own, resumed_from, **always)


def check_writable(folder: Path) -> None:
    """Makes the folder. Raises UserError where that fails or no file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"ckpt_path: cannot write '{folder}': {error.strerror}; choose another folder") from None


def _checkpoint_path(folder: Path, prefix: str, state: RunState) -> Path:
    return folder / f"{prefix}-{state.epoch}_{state.step}.ckpt"


def _point(name: Path, target: Path) -> None:
    """Makes `name` a second name of the file `target`, or a copy where the file system has no hard links."""
    with replacing(name) as temporary:
        try:
            os.link(target, temporary)
        except OSError:
            shutil.copyfile(target, temporary)
