"""The folder of a training run: configuration, log, metrics and checkpoints; the earlier run's files are kept aside."""

import os
import shutil
import tempfile
import time
from pathlib import Path

from mindspore import nn

from src import checkpoint
from src.config import Config, to_yaml
from src.errors import UserError
from src.files import replacing, write_text
from src.runlog import Metrics, log, start_log

_FILES = ("config.yaml", "metrics.jsonl", "train.log")


class RunFolder:
    """Gives a run its files below `ckpt_path`.

    Checkpoints are `<backbone>-<epoch>_<step>.ckpt`, of which the newest `keep_checkpoint_max` are kept, `last.ckpt` (the
    newest again) and `best.ckpt` (the highest validation accuracy). Files of an earlier run move to `previous/<time>/`.

    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, config: Config):
        self.path = Path(config.ckpt_path)
        self.prefix = config.backbone
        self.keep = config.keep_checkpoint_max
        self.saved: list = []
        check_writable(self.path)
        moved = self._set_earlier_run_aside()
        start_log(self.path / "train.log")
        if moved:
            log.info("files of the earlier run in %s are now in %s", self.path, moved)
        write_text(self.path / "config.yaml", to_yaml(config))
        self.metrics = Metrics(self.path / "metrics.jsonl")

    def save(self, network: nn.Cell, metadata: dict) -> Path:
        """Writes a checkpoint of this epoch and step, and removes the oldest beyond the number to keep."""
        path = self.path / f"{self.prefix}-{metadata['epoch']}_{metadata['step']}.ckpt"
        checkpoint.save(network, path, metadata)
        _point(self.path / "last.ckpt", path)
        if path not in self.saved:
            self.saved.append(path)
        while len(self.saved) > self.keep:
            self.saved.pop(0).unlink(missing_ok=True)
        self.metrics.write("checkpoint", epoch=metadata["epoch"], step=metadata["step"], path=str(path))
        return path

    def save_best(self, network: nn.Cell, metadata: dict) -> None:
        """Writes `best.ckpt`."""
        checkpoint.save(network, self.path / "best.ckpt", metadata)

    def _set_earlier_run_aside(self) -> str:
        earlier = [self.path / name for name in _FILES if (self.path / name).exists()]
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


def check_writable(folder: Path) -> None:
    """Makes the folder. Raises UserError where that fails or no file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"ckpt_path: cannot write '{folder}': {error.strerror}; choose another folder") from None


def _point(name: Path, target: Path) -> None:
    """Makes `name` a second name of the file `target`, or a copy where the file system has no hard links."""
    with replacing(name) as temporary:
        try:
            os.link(target, temporary)
        except OSError:
            shutil.copyfile(target, temporary)
