"""What every rank of test_communication.py runs: all of src.distributed.communication, and steps of training.

The results go to a JSON file.
"""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Optional

from src import device
from src.config import build_config

CONFIG = build_config({"platform": "CPU", "is_distributed": 1})
device.prepare(CONFIG)

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402
from mindspore import Tensor, nn  # noqa: E402

from src.distributed import communication  # noqa: E402
from src.distributed.collectives import GradientMean  # noqa: E402
from src.distributed.communication import join  # noqa: E402
from src.distributed.group import Group  # noqa: E402
from src.errors import UserError  # noqa: E402
from src.models.regularization import Dropout, number_random_layers  # noqa: E402
from src.progress import beat  # noqa: E402
from src.training.optimizers import create_optimizer  # noqa: E402
from src.training.step import TrainStep  # noqa: E402


def main(folder: Path, at_the_end: str) -> None:
    """Exchanges numbers and parameters with the other ranks; then trains and leaves well, or is killed at work."""
    group = join(CONFIG)
    rank, size = group.rank, group.size
    big = np.array([2**62 // size + rank, -(2**40) * rank, 2**24 + 1], np.int64)
    real = np.array([[0.1 * (rank + 1), 1e-300, -1e300 * rank]], np.float64)
    counts = np.arange(300, dtype=np.float32) * rank
    found = {
        "group": [rank, size, group.local_rank],
        "big": communication.all_reduce_sum(big, group).tolist(),
        "real": communication.all_reduce_sum(real, group).tolist(),
        "counts": communication.all_reduce_sum(counts, group).tolist(),
        "gathered": communication.all_gather(np.array([np.nan, np.inf, -0.0, rank]), group).tolist(),
        "bytes": [data.decode() for data in communication.all_gather_bytes(f"rank {rank}".encode(), group)],
    }

    network = nn.SequentialCell(nn.Dense(3, 2, weight_init="ones"), nn.BatchNorm2d(2))
    network[1].moving_mean.set_data(Tensor(np.full(2, rank, np.float32)))  # running statistics may differ
    communication.check_same_parameters(network, group)
    found["statistics"] = refusal(network, group, trained_only=False)
    if rank == size - 1:
        network[0].bias.set_data(Tensor(np.array([0, 1e-7], np.float32)))
    found["weights"] = refusal(network, group)
    found["networks"] = refusal(nn.Dense(2 + (rank == 1), 2), group)

    found["together"] = [refusal_together(None, group), refusal_together("mine" if rank == 1 else None, group)]
    for key, images, digest in (("fewer", 10 - (rank == 1), "ab"), ("others", 10, "cd" if rank == 1 else "ab")):
        try:
            communication.check_same_images(images, 32 * digest, group)
        except UserError as error:
            found[key] = str(error)
    with communication.master_first(Group(rank, size, local_rank=max(rank - 1, 0))):
        found["turn"] = time.time()
        time.sleep(0.2)

    if rank == 0:
        time.sleep(1)  # the barrier holds the others back
    before = time.time()
    communication.barrier(group)
    found["barrier"] = [before, time.time()]
    if at_the_end == "leave":
        found["masks"] = distinct_masks(group)
        found["training"] = trained(group)
        found["averaged"] = [averaged(group, bucket_mb) for bucket_mb in (0, 1, 32)]
    (folder / f"{rank}.json").write_text(json.dumps(found))
    if at_the_end == "be killed":
        for step in range(10**6):
            if rank == 1 and step == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            communication.all_reduce_sum(big, group)
            beat()


def refusal_together(mistake, group: Group) -> str:
    """How `together` ends on this rank."""
    try:
        with communication.together(group):
            if mistake:
                raise UserError(mistake)
    except UserError as error:
        return str(error)
    return ""


def distinct_masks(group: Group) -> int:
    """Number of different dropout masks among the ranks."""
    layer = nn.SequentialCell(Dropout(0.5)).set_train()
    number_random_layers(layer, group.rank)
    output = layer(Tensor(np.ones((8, 8), np.float32))).asnumpy()
    return len(set(communication.all_gather_bytes(output.tobytes(), group)))


def trained(group: Group) -> dict:
    """Steps of two batches each on this rank's part of the images, and the same on all images without other ranks.

    In the second step the first batch of the last rank, and of no other, makes the gradients overflow.
    """
    random = np.random.default_rng(0)
    images = random.standard_normal((3, 2, 4, group.size, 3, 8, 8)).astype(np.float32)  # step, batch, image, rank
    labels = random.integers(0, 3, images.shape[:4]).astype(np.int32)
    images[1, 0, :, -1] *= 1e38
    steps = {True: new_step(group), False: new_step()}
    found: dict = {"finite": [], "scale": [], "moved": []}
    for number in range(len(images)):
        before = [p.asnumpy().copy() for p in steps[True].optimizer.parameters]
        for distributed, step in steps.items():
            for x, y in zip(images[number], labels[number]):
                own = (x[:, group.rank], y[:, group.rank]) if distributed else (x.reshape(-1, 3, 8, 8), y.ravel())
                _, finite, scale = step(*map(Tensor, own))
            if distributed:
                found["finite"].append(bool(finite.asnumpy()))
                found["scale"].append(float(scale.asnumpy()))
        pairs = zip(before, steps[True].optimizer.parameters)
        found["moved"].append(any((old != p.asnumpy()).any() for old, p in pairs))
    communication.check_same_parameters(steps[True], group, trained_only=False)
    weights = [step.network.get_parameters() for step in steps.values()]
    found["difference"] = max(float(np.abs(a.asnumpy() - b.asnumpy()).max()) for a, b in zip(*weights))
    return found


def new_step(group: Optional[Group] = None) -> TrainStep:
    """Dynamic scale, two batches per update, a network without batch norm; the same weights at every call."""
    ms.set_seed(1)
    network = nn.SequentialCell(nn.Conv2d(3, 4, 3, has_bias=True), nn.ReLU(), nn.Flatten(), nn.Dense(256, 3))
    optimizer = create_optimizer(network, np.full(9, 0.1, np.float32), build_config({"momentum": 0.9}))
    reducer = GradientMean(optimizer.parameters, group.size, bucket_mb=0) if group else None
    return TrainStep(
        network, optimizer, nn.CrossEntropyLoss(), loss_scale=1024, scale_window=100, accumulate_steps=2,
        reduce_gradients=reducer,
    ).set_train()  # fmt: skip


def averaged(group: Group, bucket_mb: int) -> dict:
    """Means of three gradients, the last two of which fit into 1 MiB: largest error, notes, a checksum of the bits."""
    shapes = ((250, 1000), (1000, 250), (7,))
    parameters = [ms.Parameter(Tensor(np.zeros(shape, np.float32)), name=f"p{i}") for i, shape in enumerate(shapes)]
    by_rank = [[np.random.default_rng([rank, i]).normal(size=s) for i, s in enumerate(shapes)] for rank in range(group.size)]
    own = tuple(Tensor(values.astype(np.float32)) for values in by_rank[group.rank])
    mean = GradientMean(parameters, group.size, bucket_mb)
    means, notes = mean(own, Tensor(np.array([group.rank, 1], np.float32)))
    errors = [np.abs(m.asnumpy() - np.mean(values, axis=0)).max() for m, values in zip(means, zip(*by_rank))]
    checksum = hashlib.sha256(b"".join(m.asnumpy().tobytes() for m in means)).hexdigest()
    return {"buckets": len(mean.buckets), "error": float(max(errors)), "notes": notes.asnumpy().tolist(), "bits": checksum}


def refusal(network: nn.Cell, group: Group, trained_only: bool = True) -> str:
    """The message with which the comparison of parameters fails."""
    try:
        communication.check_same_parameters(network, group, trained_only)
    except UserError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
