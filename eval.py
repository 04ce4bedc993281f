"""Evaluates a checkpoint, an export or weights of PyTorch, or classifies single images; `--help` lists every option."""

import sys

from src.errors import run_command


def main(arguments: list) -> int:
    """Configuration -> device -> evaluation or prediction."""
    from src import device
    from src.config import load_config
    from src.launch import modelarts
    from src.log import start_log

    config = load_config(arguments, "eval")
    start_log(stdout_is_data=config.predict_json)
    device.prepare(config)

    from src.evaluation.run import run  # imports MindSpore, which `prepare` must precede

    with modelarts.copied(config, results=False) as config:
        return run(config)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
