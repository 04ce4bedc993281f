"""Brings weights from PyTorch, MindCV and MindSpore's models repository here, and weights from here to PyTorch.

    python -m src.weights --backbone NAME --source FILE --output X.ckpt [--ema] [--class_names FILE] [--in_channels 1]
        [--verify]
    python -m src.weights --backbone NAME --source X.ckpt --output Y.safetensors
    python -m src.weights average A.ckpt B.ckpt ... --output X.ckpt
    python -m src.weights find NAME
    python -m src.weights download PUBLISHER:FILE --output X.ckpt

FILE is what torch.save wrote (.pth, .pt, .bin, .pth.tar; read without PyTorch, and nothing in it is run), .safetensors or a
MindSpore .ckpt. Every tensor is accounted for: one that is missing, unknown or of another shape refuses the file.
"""

import logging
import sys
from pathlib import Path

from .. import device
from ..config import build_config
from ..errors import CommandParser, UserError, run_command
from ..networks.registry import canonical_name, find_model

log = logging.getLogger("resnet_zoo")


def main(arguments: list[str]) -> int:
    """The command."""
    from ..log import start_log

    others = {"average": _average, "find": _find, "download": _download}
    if arguments and arguments[0] in others:
        return others[arguments[0]](arguments[1:])
    parser = CommandParser(prog="python -m src.weights", description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", required=True, help="network; python -m src.models lists them")
    parser.add_argument("--source", type=Path, required=True, help="file to read: PyTorch's, safetensors or .ckpt")
    parser.add_argument("--output", type=Path, required=True, help="file to write: .ckpt, or .safetensors for PyTorch")
    parser.add_argument("--ema", action="store_true", help="take the averaged weights (EMA) that the file has beside others")
    parser.add_argument("--class_names", default="", help="names of the classes, one a line (1,000 classes: ImageNet's)")
    parser.add_argument("--in_channels", type=int, choices=(1, 3), help="of the images; default: as the file's network")
    parser.add_argument("--verify", action="store_true", help="compare the logits with torchvision's or timm's network")
    options = parser.parse_args(arguments)
    find_model(options.backbone)
    backbone = canonical_name(options.backbone)
    if options.output.suffix not in (".ckpt", ".safetensors"):
        raise UserError(f"output: '{options.output}' must end in .ckpt or .safetensors")
    start_log()
    device.prepare(build_config({"platform": "CPU"}))

    from ..data.class_names import class_names_from
    from . import verification, writing  # import MindSpore, which `prepare` must precede
    from .importing import read_weights

    if options.verify:
        verification.check_installed(backbone)
    if options.verify and options.in_channels:
        raise UserError("verify: compares with a network of the file's channels; leave --in_channels or --verify away")
    class_names = class_names_from(options.class_names)
    values, info = read_weights(backbone, options.source, options.ema, class_names, options.in_channels)
    if options.verify:
        verification.verify(values, info, options.source, options.ema)
    write = writing.write_checkpoint if options.output.suffix == ".ckpt" else writing.write_safetensors
    write(values, info, options.output)
    log.info("%s: %s, %d classes, %d tensors", options.output, backbone, info.num_classes, len(values))
    return 0


def _find(arguments: list[str]) -> int:
    """`find`: the files that others publish for a network."""
    from .listing import find, table

    parser = CommandParser(prog="python -m src.weights find", description="Weight files that others publish for a network.")
    parser.add_argument("network", help="network; python -m src.models lists them")
    options = parser.parse_args(arguments)
    files = find(options.network)
    if not files:
        raise UserError(f"{options.network}: torchvision, timm, the ResNeSt authors and MindCV publish no weights for it")
    print(table(files))
    return 0


def _download(arguments: list[str]) -> int:
    """`download`: a published file, imported."""
    from ..log import start_log
    from .listing import named

    parser = CommandParser(prog="python -m src.weights download", description="Downloads published weights, imports them.")
    parser.add_argument("name", help="as python -m src.weights find prints it: torchvision:resnet50.IMAGENET1K_V2")
    parser.add_argument("--output", type=Path, required=True, help="file to write: .ckpt")
    parser.add_argument("--cache_dir", type=Path, default=Path(build_config().cache_dir), help="folder that keeps downloads")
    options = parser.parse_args(arguments)
    file = named(options.name)
    if options.output.suffix != ".ckpt":
        raise UserError(f"output: '{options.output}' must end in .ckpt")
    start_log()
    device.prepare(build_config({"platform": "CPU"}))

    from . import writing  # imports MindSpore, which `prepare` must precede
    from .by_name import read_published

    values, info = read_published(file, options.cache_dir)
    writing.write_checkpoint(values, info, options.output)
    log.info("%s: %s, %d classes", options.output, file.name, info.num_classes)
    return 0


def _average(arguments: list[str]) -> int:
    """`average`: the mean of several checkpoints."""
    from ..log import start_log

    parser = CommandParser(prog="python -m src.weights average", description="The mean of several checkpoints of one run.")
    parser.add_argument("files", type=Path, nargs="+", metavar="X.ckpt", help="checkpoints of one network")
    parser.add_argument("--output", type=Path, required=True, help="file to write: .ckpt")
    parser.add_argument("--data_dir", default="", help="training images for the running statistics; default: the run's")
    parser.add_argument("--images", type=int, default=10000, help="how many of them, at most an epoch's; default: 10000")
    parser.add_argument("--keep_statistics", action="store_true", help="take the mean of the running statistics instead")
    parser.add_argument("--platform", default="auto", help="auto, Ascend, GPU or CPU")
    options = parser.parse_args(arguments)
    if options.output.suffix != ".ckpt":
        raise UserError(f"output: '{options.output}' must end in .ckpt")
    if options.images < 1:
        raise UserError(f"images: expected 1 or more, got {options.images}; --keep_statistics needs none")
    start_log()
    device.prepare(build_config({"platform": options.platform}))

    from .averaging import average_files  # imports MindSpore, which `prepare` must precede

    average_files(options)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
