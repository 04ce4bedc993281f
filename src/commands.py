"""The commands that a configuration steers; train.py, eval.py and the other scripts of the repository's root call them.

Each reads its configuration, prepares the device and hands on to the room that does the work. What they need is imported
when they run: MindSpore after `device.prepare`, and the rest where `run_command` explains a package that is missing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import CommandParser, UserError

if TYPE_CHECKING:
    from .config import Config


def train(arguments: list[str]) -> int:
    """Trains a network."""
    config, platform = _start(arguments, "train")

    from .launch import modelarts
    from .training.start import train

    with modelarts.copied(config) as config:
        train(config, platform)
    return 0


def evaluate(arguments: list[str]) -> int:
    """Evaluates a checkpoint, an export or weights of PyTorch, or classifies single images."""
    config, _ = _start(arguments, "eval")

    from .evaluation.model_files import run
    from .launch import modelarts

    with modelarts.copied(config, results=False) as config:
        return run(config)


def predict(arguments: list[str]) -> int:
    """`evaluate` of one image or folder, which comes first: IMAGE --pretrained FILE."""
    if arguments and not arguments[0].startswith("-"):
        arguments = ["--predict", *arguments]
    elif not {"-h", "--help", "--predict"}.intersection(arguments):
        raise UserError("predict: no image or folder; write python -m src predict IMAGE --pretrained FILE")
    return evaluate(arguments)


def compare(arguments: list[str]) -> int:
    """Puts files of one network, which come first, side by side on a data set: FILE FILE ... --data_dir FOLDER."""
    count = next((i for i, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    config, _ = _start(arguments[count:], "eval", arguments[:count])

    from pathlib import Path

    from .comparing.compare import compare

    return compare([Path(argument) for argument in arguments[:count]], config)


def export(arguments: list[str]) -> int:
    """Exports a checkpoint as MINDIR, ONNX, AIR or OM."""
    config, platform = _start(arguments, "export")

    from .exporting.export import export

    export(config, platform)
    return 0


def preprocess(arguments: list[str]) -> int:
    """Writes images as .bin files for off-line inference."""
    config, _ = _start(arguments, "preprocess")

    from .offline.preprocess import preprocess

    preprocess(config)
    return 0


def postprocess(arguments: list[str]) -> int:
    """Computes the accuracy of result files, without MindSpore."""
    from .config import load_config
    from .log import start_log

    config = load_config(arguments, "postprocess")
    start_log()
    if config.pretrained.endswith(".ckpt"):
        from . import device

        device.prepare(config)  # before MindSpore, which reads checkpoints, is imported

    from .offline.postprocess import postprocess

    return postprocess(config)


def labels(arguments: list[str]) -> int:
    """Writes imagenet_label.json, {"image name": class number}, of a folder of class folders."""
    from pathlib import Path

    from .data.sources.label_files import read_class_names
    from .log import start_log
    from .offline.labels import write_label_json

    parser = CommandParser(prog="python create_imagenet2012_label.py", description=labels.__doc__)
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


def _start(arguments: list[str], command: str, files: Sequence[str] = ()) -> "tuple[Config, str]":
    """The configuration and the platform that is in use; from here on MindSpore may be imported.

    Args:
        files: that the command opens, if not `pretrained`; what MINDIR files compute is MindSpore's own.
    """
    from . import device
    from .config import load_config
    from .cpu.choice import obstacle
    from .log import start_log

    config = load_config(arguments, command)
    start_log(stdout_is_data=config.predict_json)
    ours = command in ("train", "eval") and not any(file.endswith(".mindir") for file in files or [config.pretrained])
    return config, device.prepare(config, own_convolutions=ours and not obstacle(config))
