"""Evaluates a checkpoint or an export, or classifies single images. `python eval.py --help` lists every option."""

import sys
from pathlib import Path

from src import device
from src.config import load_config
from src.errors import UserError, run_command
from src.runlog import start_log


def main(arguments: list) -> int:
    """Configuration -> device -> evaluation or prediction."""
    config = load_config(arguments)
    start_log(stdout_is_data=config.predict_json)
    if not config.pretrained:
        raise UserError("pretrained: no value; pass --pretrained FILE (.ckpt, .mindir, .onnx) or a folder of checkpoints")
    device.prepare(config)

    if config.predict:
        from src.evaluation.classifiers import load_classifier
        from src.evaluation.predict import predict

        return predict(load_classifier(Path(config.pretrained), config), config)
    from src.evaluation.run import evaluate_file

    return evaluate_file(config)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
