"""Computes the accuracy of result files, without MindSpore. `python postprocess.py --help` lists every option."""

import sys

from src.errors import run_command


def main(arguments: list) -> int:
    """Configuration -> result files -> accuracy."""
    from src.config import load_config
    from src.log import start_log
    from src.offline.postprocess import postprocess

    config = load_config(arguments, "postprocess")
    start_log()
    if config.pretrained.endswith(".ckpt"):
        from src import device

        device.prepare(config)  # before MindSpore, which reads checkpoints, is imported
    return postprocess(config)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
