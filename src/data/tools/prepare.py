"""Rearranges image folders: flat with a label file to class folders and back; class folders to MindRecord files.

    python -m src.data.tools.prepare to_folders --data_dir FLAT --label_file LABELS --output FOLDER [--class_names FILE]
    python -m src.data.tools.prepare to_flat --data_dir FOLDER --output FLAT
    python -m src.data.tools.prepare to_mindrecord --source FOLDER --output FOLDER [--shards N]

Images are copied, or with `--mode link` given a second name (no space used, same disk), or with `--mode move` moved.
"""

import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from ...errors import CommandParser, UserError, run_command
from ...files import write_text
from ..scan import usable_images
from ..sources.folder import index_folder
from ..sources.lists import index_flat

_MODES = {"copy": shutil.copy2, "link": os.link, "move": shutil.move}


def to_folders(data_dir: Path, label_file: Path, output: Path, class_names: tuple, mode: str) -> int:
    """Puts the images of a flat folder into `output`/<class>/.

    A class is called what the label file calls it; numbers become the names in `class_names`, or, without those, numbers of
    equal width, so that the folders sort in the order of the numbers.

    Returns:
        The number of images.

    Raises:
        UserError: labels and images do not fit, or a target exists already; nothing was changed then.
    """
    index = index_flat(data_dir, label_file)
    if not index.class_names:
        highest = int(index.labels.max())
        if class_names and highest >= len(class_names):
            raise UserError(f"class_names: {len(class_names)} names, but '{label_file}' goes up to label {highest}")
        class_names = class_names or tuple(str(i).zfill(len(str(highest))) for i in range(highest + 1))
    names = index.class_names or class_names
    pairs = [(index.path(i), output / names[label] / Path(index.files[i]).name) for i, label in enumerate(index.labels)]
    return _transfer(pairs, mode)


def to_flat(data_dir: Path, output: Path, mode: str) -> int:
    """Puts the images of class folders into one folder, with `val_label.txt` and `class_names.txt`.

    Returns:
        The number of images.

    Raises:
        UserError: two images have the same name, or a target exists already; nothing was changed then.
    """
    index = index_folder(data_dir)
    names = [Path(file).name for file in index.files]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{data_dir}: {len(twice)} image names occur in more than one class, first {twice[0]}; rename them")
    labels = "".join(f"{name} {label}\n" for name, label in sorted(zip(names, index.labels)))
    count = _transfer([(index.path(i), output / name) for i, name in enumerate(names)], mode)
    write_text(output / "val_label.txt", labels)
    write_text(output / "class_names.txt", "".join(f"{name}\n" for name in index.class_names))
    return count


def to_mindrecord(source: Path, output: Path, shards: int) -> int:
    """Packs class folders, or those in `source`/train and `source`/val, into MindRecord files, checked record by record.

    Returns:
        The number of images.

    Raises:
        UserError: images that cannot be decoded, `output` exists, or a record is not what was written.
    """
    from ... import device
    from ...config import build_config

    device.prepare(build_config({"platform": "CPU"}))
    from ..sources.mindrecord import write_mindrecord

    parts = [part for part in ("train", "val") if (source / part).is_dir()]
    count = 0
    for part in parts if len(parts) == 2 else ["."]:
        if (output / part).exists():
            raise UserError(f"output: '{output / part}' exists already; choose another folder")
        index = index_folder(source / part)
        with tempfile.TemporaryDirectory() as no_cache:
            usable_images(index, "full", "stop", Path(no_cache), device.available_cores())
        write_mindrecord(index, output / part, shards)
        count += len(index)
    return count


def read_class_names(path: Path) -> tuple:
    """Class names, one a line, in the order of their numbers. Raises UserError for a name that stands twice."""
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"class_names: cannot read '{path}': {error}") from None
    if len(set(names)) < len(names):
        raise UserError(f"class_names: '{path}' holds a name twice")
    return names


def _transfer(pairs: list, mode: str) -> int:
    existing = [target for _, target in pairs if target.exists()]
    if existing:
        raise UserError(f"output: {len(existing)} files exist already, first {existing[0]}; choose another folder")
    for source, target in tqdm(pairs, unit="img", disable=not sys.stderr.isatty()):
        target.parent.mkdir(parents=True, exist_ok=True)
        _MODES[mode](source, target)
    return len(pairs)


def main(arguments: list) -> int:
    """The command."""
    parser = CommandParser(prog="python -m src.data.tools.prepare", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("to_folders", "to_flat"):
        command = commands.add_parser(name)
        command.add_argument("--data_dir", type=Path, required=True, help="folder to read")
        command.add_argument("--output", type=Path, required=True, help="folder to write")
        command.add_argument("--mode", choices=sorted(_MODES), default="copy", help="default: copy")
    commands.choices["to_folders"].add_argument("--label_file", type=Path, required=True, help="lines 'image-name label'")
    commands.choices["to_folders"].add_argument("--class_names", type=Path, help="names of classes 0, 1, ..., one a line")
    command = commands.add_parser("to_mindrecord")
    command.add_argument("--source", type=Path, required=True, help="folder of class folders, or of train/ and val/")
    command.add_argument("--output", type=Path, required=True, help="folder to write")
    command.add_argument("--shards", type=int, choices=range(1, 1001), metavar="N", default=1, help="files per part")
    options = parser.parse_args(arguments)
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
