"""`resnet-zoo COMMAND ...`, or `python -m src COMMAND ...` in a checkout: every command of the package."""

import difflib
import sys
from importlib import import_module

from .errors import UserError, as_called_here, run_command
from .version import __version__

# Name -> module below this package, function, what it does.
COMMANDS = {
    "train": ("commands", "train", "train a network"),
    "eval": ("commands", "evaluate", "accuracy of a checkpoint or an export, or of a folder of checkpoints"),
    "predict": ("commands", "predict", "the likeliest classes of an image, or of every image in a folder"),
    "suspects": ("evaluation.suspects", "main", "duplicates and probable label errors of a data set"),
    "compare": ("commands", "compare", "files of one network side by side: accuracy, agreement, differences of logits"),
    "export": ("commands", "export", "write a checkpoint as MINDIR, ONNX, AIR or OM"),
    "weights": ("weights.__main__", "main", "bring weights from PyTorch, MindCV and MindSpore's models here, or to PyTorch"),
    "models": ("models.__main__", "main", "list the networks with their parameters and multiply-adds"),
    "prepare": ("data.tools.prepare", "main", "rearrange image folders, or pack them as MindRecord files"),
    "doctor": ("doctor.__main__", "main", "is this machine fit: versions, libraries, devices, ports, disk, memory, data"),
    "digits": ("data.tools.digits", "main", "write the embedded data set of handwritten digits"),
    "serve": ("serving.serve", "main", "answer over HTTP, with a page to try a network on"),
    "launch": ("launch.command", "main", "train or evaluate on several devices or servers"),
    "rank-table": ("launch.rank_table", "main", "check, show, make and merge rank tables"),
    "report": ("report.__main__", "main", "write the page of a run, or of several side by side"),
    "preprocess": ("commands", "preprocess", "images to .bin files for off-line inference"),
    "postprocess": ("commands", "postprocess", "result files of off-line inference to accuracy"),
    "labels": ("commands", "labels", "write imagenet_label.json of a folder of class folders"),
}


def main() -> int:
    """The command `resnet-zoo`."""
    return run_command(run, sys.argv[1:])


def run(arguments: list[str]) -> int:
    """Runs the command that the first argument names. Raises UserError for an unknown one."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(as_called_here(f"usage: python -m src COMMAND [--key value ...], version {__version__}\n"))
        for name, (_, _, text) in COMMANDS.items():
            print(f"  {name:<12} {text}")
        print(as_called_here("\npython -m src COMMAND --help lists the options of a command."))
        return 0
    if arguments[0] == "--version":
        print(__version__)
        return 0
    if arguments[0] not in COMMANDS:
        near = difflib.get_close_matches(arguments[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        raise UserError(f"'{arguments[0]}': unknown command; {hint}")
    module, function, _ = COMMANDS[arguments[0]]
    return getattr(import_module(f"{__package__}.{module}"), function)(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
