"""Writes imagenet_label.json, {"image name": class number}, of a folder of class folders."""

import sys
from pathlib import Path

from src.errors import CommandParser, run_command


def main(arguments: list) -> int:
    """The command."""
    from src.data.sources.label_files import read_class_names
    from src.log import start_log
    from src.offline.labels import write_label_json

    parser = CommandParser(prog="python create_imagenet2012_label.py", description=__doc__)
    parser.add_argument("--img_path", type=Path, required=True, help="folder with one folder of images per class")
    parser.add_argument("--output", type=Path, default=Path("imagenet_label.json"), help="default: imagenet_label.json")
    # Without it, the folders with images are numbered in the order of their names.
    parser.add_argument("--class_names", type=Path, help="names of classes 0, 1, ..., one a line")
    options = parser.parse_args(arguments)
    start_log()
    names = read_class_names(options.class_names) if options.class_names else ()
    index = write_label_json(options.img_path, options.output, names)
    print(f"{options.output}: {len(index)} images of {len(index.class_names)} classes")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
