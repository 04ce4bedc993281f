"""Opens a data set of any format: what `data_dir` holds decides, unless `dataset` does."""

from dataclasses import replace
from pathlib import Path
from typing import Optional

from ..config import Config
from ..errors import UserError
from .class_names import class_names_from
from .index import ImageIndex, check_label_range
from .read_ahead import Reading
from .scan import usable_images
from .sources.cifar import cifar_kind, index_cifar
from .sources.folder import evaluation_folder, has_parts, index_folder
from .sources.lists import index_list
from .sources.mindrecord import MANIFEST, index_mindrecord
from .sources.synthetic import index_synthetic
from .split import hold_out, limit_classes


def open_training_data(config: Config, workers: int) -> tuple[ImageIndex, Optional[ImageIndex]]:
    """Training images, and the evaluation images or None, both checked and with the same class numbers.

    Images that were held out of the training images are given even where `eval_interval` is 0.

    Raises:
        UserError: the data cannot be used, or its classes do not fit `num_classes` or each other.
    """
    _check_data_dir(config)
    train_root, eval_root = _roots(config)
    train_index, eval_index = _listed_parts(config) if config.label_file else (_open(train_root, config, "train"), None)
    names = class_names_from(config.class_names)
    train_index = train_index.with_classes(names) if names else train_index
    check_num_classes(train_index, config.num_classes)
    train_index = _checked(train_index, config, workers)
    if config.val_split:
        if eval_index is not None:
            raise UserError(f"val_split: {config.val_split:g}, but '{config.label_file}' has rows for val; pass 0")
        train_index, eval_index = hold_out(train_index, config.val_split, config.seed)
    elif eval_index is not None:
        eval_index = _checked(eval_index.with_classes(names) if names else eval_index, config, workers)
    elif eval_root and config.eval_interval:
        eval_index = _open(eval_root, config, "val")
        if train_index.class_names:
            eval_index = eval_index.with_classes(train_index.class_names)
        eval_index = _checked(eval_index, config, workers)
    if config.images_per_class:
        train_index = limit_classes(train_index, config.images_per_class, config.seed)
    return train_index, eval_index


def unchecked_data(config: Config) -> tuple[ImageIndex, Optional[ImageIndex]]:
    """The images that `open_training_data` would check, as they lie there: for a diagnosis.

    Raises:
        UserError: there is no data.
    """
    _check_data_dir(config)
    train_root, eval_root = _roots(config)
    train_index, eval_index = _listed_parts(config) if config.label_file else (_open(train_root, config, "train"), None)
    if eval_index is None and eval_root:
        eval_index = _open(eval_root, config, "val")
    names = class_names_from(config.class_names)
    return train_index.with_classes(names) if names else train_index, eval_index


def open_evaluation_data(config: Config, workers: int) -> ImageIndex:
    """The checked images that `data_dir` and `label_file` name; of a folder with train/ and val/, those in val/.

    Raises:
        UserError: the data cannot be used.
    """
    _check_data_dir(config)
    root = Path(config.data_dir)
    if not config.label_file:
        return _checked(_open(evaluation_folder(root), config, "val"), config, workers)
    parts = _lists(config)
    index = parts.get("") or parts.get(config.eval_split)
    if index is None:
        found = ", ".join(parts)
        raise UserError(f"eval_split: '{config.label_file}' has no image for {config.eval_split}; it has some for {found}")
    return _checked(index, config, workers)


def check_num_classes(index: ImageIndex, num_classes: int) -> None:
    """Raises UserError where the data has another number of classes than the network."""
    if not index.class_names:
        check_label_range(index, num_classes)
    found = len(index.class_names)
    if index.class_names and found != num_classes:
        what = "class folders" if index.images.kind == "folder" else "classes"
        raise UserError(f"num_classes: {num_classes}, but '{index.root}' has {found} {what}; pass --num_classes {found}")


def _listed_parts(config: Config) -> tuple[ImageIndex, Optional[ImageIndex]]:
    """The images of `label_file` that are for training, and those for evaluation, or None."""
    parts = _lists(config)
    train_index = parts.get("") or parts.get("train")
    if train_index is None:
        raise UserError(f"label_file: '{config.label_file}' has no image for train; it has some for {', '.join(parts)}")
    return train_index, None if config.eval_data_dir else parts.get("val")


def _lists(config: Config) -> dict[str, ImageIndex]:
    root = Path(config.data_dir)
    data = None if _kind(root, config) == "folder" else _open(root, config, "train")
    return index_list(root, Path(config.label_file), data)


def _check_data_dir(config: Config) -> None:
    if not config.data_dir and config.dataset != "synthetic":
        raise UserError("data_dir: no value; pass --data_dir FOLDER with one folder of images per class")


def _roots(config: Config) -> tuple[Path, Optional[Path]]:
    """Where the training images are, and where those for evaluation are, or None."""
    root = Path(config.data_dir)
    eval_root: Optional[Path] = Path(config.eval_data_dir) if config.eval_data_dir else None
    if config.label_file:
        return root, eval_root
    if _kind(root, config) in ("cifar10", "cifar100", "synthetic"):
        return root, eval_root or root
    if has_parts(root):
        if config.val_split:
            part = f"pass 0, or --data_dir {root / 'train'} to take them from there"
            raise UserError(f"val_split: {config.val_split:g}, but '{root}' holds val/; {part}")
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
        return index_folder(root, Path(config.cache_dir), config.scan != "off", config.class_folders)
    return index_cifar(root, kind, part)


def _checked(index: ImageIndex, config: Config, workers: int) -> ImageIndex:
    index = replace(index, reading=Reading.of(config))
    return usable_images(index, config.scan, config.bad_images, Path(config.cache_dir), workers)
