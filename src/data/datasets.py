"""Opens a data set of any format: what `data_dir` holds decides, unless `dataset` does."""

from dataclasses import replace
from pathlib import Path
from typing import Optional

from ..config import Config
from ..errors import UserError
from .index import ImageIndex
from .read_ahead import Reading
from .scan import usable_images
from .sources.cifar import cifar_kind, index_cifar
from .sources.folder import evaluation_folder, has_parts, index_folder
from .sources.lists import index_flat
from .sources.mindrecord import MANIFEST, index_mindrecord
from .sources.synthetic import index_synthetic


def open_training_data(config: Config, workers: int) -> tuple[ImageIndex, Optional[ImageIndex]]:
    """Training images, and the evaluation images or None, both checked and with the same class numbers.

    Raises:
        UserError: the data cannot be used, or its classes do not fit `num_classes` or each other.
    """
    _check_data_dir(config)
    if config.label_file:
        command = "python -m src.data.tools.prepare to_folders"
        raise UserError(f"label_file: train.py reads class folders; make them with {command}")
    train_root, eval_root = _roots(config)
    train_index = _open(train_root, config, "train")
    check_num_classes(train_index, config.num_classes)
    eval_index = None
    if eval_root and config.eval_interval:
        eval_index = _open(eval_root, config, "val")
        if train_index.class_names:
            eval_index = eval_index.with_classes(train_index.class_names)
        eval_index = _checked(eval_index, config, workers)
    return _checked(train_index, config, workers), eval_index


def open_evaluation_data(config: Config, workers: int) -> ImageIndex:
    """The checked images that `data_dir` and `label_file` name; of a folder with train/ and val/, those in val/.

    Raises:
        UserError: the data cannot be used.
    """
    _check_data_dir(config)
    if config.label_file:
        return _checked(index_flat(Path(config.data_dir), Path(config.label_file)), config, workers)
    root = Path(config.data_dir)
    return _checked(_open(evaluation_folder(root), config, "val"), config, workers)


def check_num_classes(index: ImageIndex, num_classes: int) -> None:
    """Raises UserError where the data has another number of classes than the network."""
    found = len(index.class_names)
    if index.class_names and found != num_classes:
        what = "class folders" if index.images.kind == "folder" else "classes"
        raise UserError(f"num_classes: {num_classes}, but '{index.root}' has {found} {what}; pass --num_classes {found}")


def _check_data_dir(config: Config) -> None:
    if not config.data_dir and config.dataset != "synthetic":
        raise UserError("data_dir: no value; pass --data_dir FOLDER with one folder of images per class")


def _roots(config: Config) -> tuple[Path, Optional[Path]]:
    """Where the training images are, and where those for evaluation are, or None."""
    root = Path(config.data_dir)
    eval_root: Optional[Path] = Path(config.eval_data_dir) if config.eval_data_dir else None
    if _kind(root, config) in ("cifar10", "cifar100", "synthetic"):
        return root, eval_root or root
    if has_parts(root):
        return root / "train", eval_root or root / "val"
    if eval_root is None and root.name == "train" and (root.parent / "val").is_dir():
        return root, root.parent / "val"
    return root, eval_root


def _kind(root: Path, config: Config) -> str:
    if config.dataset != "auto":
        return config.dataset
    if (root / MANIFEST).is_file() or (root.is_dir() and any(root.glob("*.mindrecord*"))):
        return "mindrecord"
    return cifar_kind(root) or "folder"


def _open(root: Path, config: Config, part: str) -> ImageIndex:
    kind = _kind(root, config)
    if kind == "synthetic":
        return index_synthetic(config)
    if kind == "mindrecord":
        return index_mindrecord(root)
    if kind == "folder":
        return index_folder(root, Path(config.cache_dir), check_files=config.scan != "off")
    return index_cifar(root, kind, part)


def _checked(index: ImageIndex, config: Config, workers: int) -> ImageIndex:
    index = replace(index, reading=Reading.of(config))
    return usable_images(index, config.scan, config.bad_images, Path(config.cache_dir), workers)
