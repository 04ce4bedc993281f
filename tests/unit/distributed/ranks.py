"""What every rank of test_communication.py runs: all of src.distributed.communication; the results go to a JSON file."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from src import device
from src.config import build_config

device.prepare(build_config({"platform": "CPU"}))

import numpy as np  # noqa: E402
from mindspore import Tensor, nn  # noqa: E402

from src.distributed import communication  # noqa: E402
from src.distributed.heartbeat import beat  # noqa: E402
from src.errors import UserError  # noqa: E402


def main(folder: Path, at_the_end: str) -> None:
    """Exchanges numbers and parameters with the other ranks; then leaves well, or is killed at work."""
    group = communication.start()
    rank, size = group.rank, group.group_size
    big = np.array([2**62 // size + rank, -(2**40) * rank, 2**24 + 1], np.int64)
    real = np.array([[0.1 * (rank + 1), 1e-300, -1e300 * rank]], np.float64)
    counts = np.arange(300, dtype=np.float32) * rank
    found = {
        "group": [rank, size, group.local_rank],
        "big": communication.all_reduce_sum(big, size).tolist(),
        "real": communication.all_reduce_sum(real, size).tolist(),
        "counts": communication.all_reduce_sum(counts, size).tolist(),
        "gathered": communication.all_gather(np.array([np.nan, np.inf, -0.0, rank]), size).tolist(),
        "bytes": [data.decode() for data in communication.all_gather_bytes(f"rank {rank}".encode(), size)],
    }

    network = nn.SequentialCell(nn.Dense(3, 2, weight_init="ones"), nn.BatchNorm2d(2))
    network[1].moving_mean.set_data(Tensor(np.full(2, rank, np.float32)))  # running statistics may differ
    communication.check_same_parameters(network, group)
    found["statistics"] = refusal(network, group, trained_only=False)
    if rank == size - 1:
        network[0].bias.set_data(Tensor(np.array([0, 1e-7], np.float32)))
    found["weights"] = refusal(network, group)
    found["networks"] = refusal(nn.Dense(2 + (rank == 1), 2), group)

    if rank == 0:
        time.sleep(1)  # the barrier holds the others back
    before = time.time()
    communication.barrier(size)
    found["barrier"] = [before, time.time()]
    (folder / f"{rank}.json").write_text(json.dumps(found))
    if at_the_end == "be killed":
        for step in range(10**6):
            if rank == 1 and step == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            communication.all_reduce_sum(big, size)
            beat()


def refusal(network: nn.Cell, group: communication.Group, trained_only: bool = True) -> str:
    """The message with which the comparison of parameters fails."""
    try:
        communication.check_same_parameters(network, group, trained_only)
    except UserError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
