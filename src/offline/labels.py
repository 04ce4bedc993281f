"""Labels of off-line inference: imagenet_label.json (name -> class number), a label file, or class folders."""

import json
from pathlib import Path

from ..config import Config
from ..data.index import ImageIndex
from ..data.sources.folder import evaluation_folder, index_folder
from ..data.sources.label_files import read_labels
from ..data.sources.lists import index_of_labels
from ..errors import UserError
from ..files import is_utf8, write_text


def write_label_json(img_path: Path, output: Path, class_names: tuple[str, ...]) -> ImageIndex:
    """Writes {"image.JPEG": class number, ...} of a folder of class folders.

    Args:
        class_names: names of classes 0, 1, ...; empty: the folders with images, in the order of their names.

    Raises:
        UserError: two images whose names differ in folder or ending only, which result files could not tell apart; a class
            folder that is not among `class_names`.
    """
    index = index_folder(img_path)
    if class_names:
        index = index.with_classes(class_names)
    first: dict[str, str] = {}
    twice = [(first[Path(file).stem], file) for file in index.files if first.setdefault(Path(file).stem, file) != file]
    if twice:
        raise UserError(
            f"img_path: {len(twice)} images have the name of another one, first {twice[0][1]} that of {twice[0][0]}; "
            f"rename them, or give the folders themselves: postprocess.py --data_dir {img_path}"
        )
    labels = {Path(file).name: int(label) for file, label in zip(index.files, index.labels)}
    if odd := next((name for name in labels if not is_utf8(name)), None):
        raise UserError(f"img_path: the name of {ascii(odd)} is not UTF-8, which JSON needs; rename the image")
    write_text(output, json.dumps(labels, indent=0) + "\n")
    return index


def labeled_images(config: Config, class_names: tuple[str, ...]) -> ImageIndex:
    """The images that results are expected for, with the network's class numbers.

    Args:
        class_names: of the network; empty where they are not known.

    Raises:
        UserError: neither `label_file` nor `data_dir`, a file that cannot be read, classes that are not the network's.
    """
    if config.label_file:
        labels = read_labels(Path(config.label_file), class_names)
        index = index_of_labels(Path(config.data_dir), labels)
    elif config.data_dir:
        index = index_folder(evaluation_folder(Path(config.data_dir)))
    else:
        raise UserError(
            "label_file: no value; pass --label_file imagenet_label.json or val_label.txt, or --data_dir with class folders"
        )
    return index.with_classes(class_names) if class_names else index
