"""Rearranges image folders: flat with a label file to class folders and back; class folders to MindRecord files.

    python -m src.data.tools.prepare to_folders --data_dir FLAT --label_file LABELS --output FOLDER [--class_names FILE]
    python -m src.data.tools.prepare to_flat --data_dir FOLDER --output FLAT
    python -m src.data.tools.prepare to_mindrecord --source FOLDER --output FOLDER [--shards N]

Images are copied, or with `--mode link` given a second name (no space used, same disk), or with `--mode move` moved.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from ...errors import CommandParser, UserError, run_command
from ...files import is_utf8, replacing
from ...log import start_log
from ..index import ImageIndex
from ..scan import usable_images
from ..sources.folder import index_folder
from ..sources.label_files import names_a_folder, read_class_names
from ..sources.lists import index_flat
from .transfer import Plan, carry_out, unfinished_plan


def to_folders(data_dir: Path, label_file: Path, output: Path, class_names: tuple[str, ...], mode: str) -> int:
    """Puts the images of a flat folder into `output`/<class>/.

    A class is called what the label file calls it; numbers become the names in `class_names`, or, without those, numbers of
    equal width, so that the folders sort in the order of the numbers.

    Returns:
        The number of images.

    Raises:
        UserError: labels and images do not fit, or a target exists already; nothing was changed then. Or what `carry_out`
            raises.
    """
    asked: dict[str, Any] = {"command": "to_folders", "data_dir": os.path.realpath(data_dir), "mode": mode}
    asked |= {"label_file": os.path.realpath(label_file), "class_names": list(class_names)}
    plan = unfinished_plan(output, asked)
    if plan is None:
        index = index_flat(data_dir, label_file)
        names = _folder_names(index, class_names, label_file)
        files = [[file, f"{names[label]}/{Path(file).name}"] for file, label in zip(index.files, index.labels.tolist())]
        plan = Plan(asked, asked["data_dir"], mode, files, {})
    return carry_out(plan, output)


def _folder_names(index: ImageIndex, class_names: tuple[str, ...], label_file: Path) -> dict[int, str]:
    """Class number -> name of its folder."""
    labels = sorted(set(index.labels.tolist()))
    if index.class_names:
        for name in index.class_names:
            if not names_a_folder(name):
                raise UserError(f"label_file: '{label_file}': {name[:100]!r} cannot be the name of a class folder")
        return dict(enumerate(index.class_names))
    if class_names and labels[-1] >= len(class_names):
        raise UserError(f"class_names: {len(class_names)} names, but '{label_file}' goes up to label {labels[-1]}")
    return dict(enumerate(class_names)) or {label: str(label).zfill(len(str(labels[-1]))) for label in labels}


def to_flat(data_dir: Path, output: Path, mode: str) -> int:
    """Puts the images of class folders into one folder, with `val_label.txt` and `class_names.txt`.

    Returns:
        The number of images.

    Raises:
        UserError: two images have the same name, or a target exists already; nothing was changed then. Or what `carry_out`
            raises.
    """
    asked: dict[str, Any] = {"command": "to_flat", "data_dir": os.path.realpath(data_dir), "mode": mode}
    plan = unfinished_plan(output, asked)
    if plan is None:
        index = index_folder(data_dir)
        files = [[file, Path(file).name] for file in index.files]
        odd = next((name for name in (*index.class_names, *(name for _, name in files)) if not names_a_folder(name)), None)
        if odd:
            raise UserError(f"{data_dir}: the name {odd!r} cannot stand in a list of labels; rename it")
        labels = sorted((name, label) for (_, name), label in zip(files, index.labels.tolist()))
        texts = {
            "val_label.txt": "".join(f"{name} {label}\n" for name, label in labels),
            "class_names.txt": "".join(f"{name}\n" for name in index.class_names),
        }
        plan = Plan(asked, asked["data_dir"], mode, files, texts)
    return carry_out(plan, output)


def to_mindrecord(source: Path, output: Path, shards: int) -> int:
    """Packs class folders, or those in `source`/train and `source`/val, into MindRecord files, checked record by record.

    The output appears when all is well.

    Returns:
        The number of images.

    Raises:
        UserError: images that cannot be decoded, `output` exists, a full disk, or a record is not what was written.
    """
    from ... import device
    from ...config import build_config

    device.prepare(build_config({"platform": "CPU"}))
    from ..sources.mindrecord import write_mindrecord

    if output.exists():
        raise UserError(f"output: '{output}' exists already; choose another folder")
    parts = [part for part in ("train", "val") if (source / part).is_dir()]
    indices = {part: index_folder(source / part) for part in (parts if len(parts) == 2 else ["."])}
    with tempfile.TemporaryDirectory() as no_cache:
        for index in indices.values():
            usable_images(index, "full", "stop", Path(no_cache), device.available_cores())
    if not is_utf8(str(output)):
        raise UserError(f"output: the name {str(output)!r} is no text, which MindRecord needs; choose another folder")
    with replacing(output) as folder:
        for part, index in indices.items():
            write_mindrecord(index, folder / part, shards)
    return sum(map(len, indices.values()))


def main(arguments: list[str]) -> int:
    """The command."""
    parser = CommandParser(prog="python -m src.data.tools.prepare", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("to_folders", "to_flat"):
        command = commands.add_parser(name)
        command.add_argument("--data_dir", type=Path, required=True, help="folder to read")
        command.add_argument("--output", type=Path, required=True, help="folder to write")
        command.add_argument("--mode", choices=("copy", "link", "move"), default="copy", help="default: copy")
    commands.choices["to_folders"].add_argument("--label_file", type=Path, required=True, help="lines 'image-name label'")
    commands.choices["to_folders"].add_argument("--class_names", type=Path, help="names of classes 0, 1, ..., one a line")
    command = commands.add_parser("to_mindrecord")
    command.add_argument("--source", type=Path, required=True, help="folder of class folders, or of train/ and val/")
    command.add_argument("--output", type=Path, required=True, help="folder to write")
    command.add_argument("--shards", type=int, choices=range(1, 1001), metavar="N", default=1, help="files per part")
    options = parser.parse_args(arguments)
    start_log()
    if options.command == "to_flat":
        count = to_flat(options.data_dir, options.output, options.mode)
    elif options.command == "to_mindrecord":
        count = to_mindrecord(options.source, options.output, options.shards)
    else:
        names = read_class_names(options.class_names) if options.class_names else ()
        count = to_folders(options.data_dir, options.label_file, options.output, names, options.mode)
    print(f"{options.output}: {count} images")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
