"""A rank that trains twice and counts what its steps ask of the host: fetches from the device, collectives of their own.

Arguments: a file for the counts, with the rank's number in it; then those of train.py.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from src import device  # noqa: E402

device.set_environment("CPU")

import mindspore as ms  # noqa: E402

from src.config import load_config  # noqa: E402
from src.distributed import collectives, communication  # noqa: E402
from src.log import start_log  # noqa: E402
from src.training import epochs, start  # noqa: E402

COUNTED = {"steps": 0, "fetches": 0, "collectives": 0}
counting = False


def count(owner, method: str, name: str) -> None:
    """Counts calls of a method while steps are done."""
    original = getattr(owner, method)

    def counted(*arguments, **options):
        COUNTED[name] += counting
        return original(*arguments, **options)

    setattr(owner, method, counted)


def main(output: str, arguments: list) -> None:
    """Trains with a fixed scale and one batch per step, then with a dynamic scale and two."""
    for method in ("asnumpy", "item", "_item", "tolist"):  # float() and bool() call one of them
        count(ms.Tensor, method, "fetches")
    count(collectives.Gather, "__call__", "collectives")
    run = epochs.Epochs.run

    def counted_run(self, *parts):
        global counting  # noqa: PLW0603 - the counters' switch
        counting = True
        with contextlib.ExitStack() as stack:
            stack.callback(stop)
            run(self, *parts)
        COUNTED["steps"] += self.steps.geometry.steps_per_epoch

    def stop() -> None:
        global counting  # noqa: PLW0603
        counting = False

    epochs.Epochs.run = counted_run
    found = []
    for name, further in (("plain", []), ("dynamic", ["--accumulate_steps", "2", "--is_dynamic_loss_scale", "1"])):
        folder = ["--ckpt_path", f"{output}.{name}"]
        config = load_config([*arguments, *further, *folder], "train")
        if not found:
            start_log()
            device.prepare(config)
        ms.set_seed(config.seed)  # the weights of the second network are the same on both ranks too
        start.train(config, "CPU")
        found.append(dict(COUNTED))
        COUNTED.update(dict.fromkeys(COUNTED, 0))
        group = communication.Group(int(os.environ["RANK_ID"]), int(os.environ["MS_WORKER_NUM"]))
        communication.start = lambda group=group: group  # the ranks are joined already
    Path(output.replace("RANK", os.environ["RANK_ID"])).write_text(json.dumps(found), encoding="ascii")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
