"""Which images a run trains and is evaluated on."""

from pathlib import Path

from src.config import Config
from src.data.index import ImageIndex, index_folder
from src.data.scan import usable_images
from src.errors import UserError


def load_data(config: Config, workers: int) -> tuple:
    """Training images, and the evaluation images or None, both checked and with the same class numbers."""
    if not config.data_dir:
        raise UserError("data_dir: no value; pass --data_dir FOLDER with one folder of images per class")
    if config.label_file:
        raise UserError("label_file: train.py reads class folders; make them with python -m src.data.prepare to_folders")
    train_root, eval_root = Path(config.data_dir), Path(config.eval_data_dir) if config.eval_data_dir else None
    if (train_root / "train").is_dir() and (train_root / "val").is_dir():
        train_root, eval_root = train_root / "train", eval_root or train_root / "val"
    elif eval_root is None and train_root.name == "train" and (train_root.parent / "val").is_dir():
        eval_root = train_root.parent / "val"
    scan = (config.scan, config.bad_images, Path(config.cache_dir), workers)

    train_index = index_folder(train_root)
    check_num_classes(train_index, config.num_classes)
    eval_index = None
    if eval_root and config.eval_interval:
        eval_index = index_folder(eval_root).with_classes(train_index.class_names, allow_fewer=False)
        eval_index = usable_images(eval_index, *scan)
    return usable_images(train_index, *scan), eval_index


def check_num_classes(index: ImageIndex, num_classes: int) -> None:
    """Raises UserError where the folder has another number of classes than the network."""
    if len(index.class_names) != num_classes:
        raise UserError(
            f"num_classes: {num_classes}, but '{index.root}' has {len(index.class_names)} class folders; "
            f"pass --num_classes {len(index.class_names)}"
        )
