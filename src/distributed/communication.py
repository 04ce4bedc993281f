"""Communication between the ranks of one run: gathered arrays and bytes, barriers, comparisons.

Numbers and bytes travel through one all-gather of float32, the collective that every platform has, as 16-bit pieces: they
arrive unchanged, and sums are formed on every rank in the same order.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from numpy.typing import NDArray

from ..config import Config
from ..errors import UserError, first_of
from ..progress import beat
from . import collectives
from .group import ALONE, Group

SMALLEST_MESSAGE = 64  # pieces; longer messages are padded to a power of two, because every length is compiled


def start() -> Group:
    """Joins the other ranks of the run that the launcher started. `device.prepare` must have chosen the platform.

    Raises:
        UserError: this process was not started by a launcher, or the ranks did not find each other in time.
    """
    if not os.environ.get("MS_ROLE") and not os.environ.get("RANK_TABLE_FILE"):
        raise UserError(
            "is_distributed: 1 needs a launcher, which starts one process per device: "
            "bash scripts/run_distribute_train.sh RANK_TABLE_FILE DATA_PATH, or python -m src.launch"
        )
    try:
        collectives.meet()
    except RuntimeError as error:
        host, port = os.environ.get("MS_SCHED_HOST", "?"), os.environ.get("MS_SCHED_PORT", "?")
        reason = str(error).strip().partition("\n")[0].partition(". ")[0]
        raise UserError(f"is_distributed: the ranks did not find each other at {host}:{port}: {reason}") from None
    rank, size = collectives.place_among_ranks()
    group = Group(rank, size, int(os.environ.get("RESNET_ZOO_LOCAL_RANK", "0")))
    barrier(group)  # links are set up now: a rank that first does something else for long would be given up
    beat()  # tells the launcher that this rank has joined
    return group


def join(config: Config) -> Group:
    """This process's place among those of a distributed run, of which it then is part; alone without one.

    Raises:
        UserError: the launcher started another number of processes than `group_size` says.
    """
    if not config.is_distributed:
        return ALONE
    group = start()
    if "group_size" in config.given and config.group_size != group.size:
        raise UserError(f"group_size: {config.group_size}, but the launcher started {group.size} processes")
    return group


def all_gather_bytes(data: bytes, group: Group) -> list[bytes]:
    """The `data` of every rank, by rank. All ranks must call it, with the same number of bytes."""
    if group.size == 1:
        return [data]
    pieces = np.frombuffer(data + b"\0" * (len(data) % 2), np.uint16)
    length = max(SMALLEST_MESSAGE, 1 << max(0, len(pieces) - 1).bit_length())
    message = np.zeros((1, length), np.float32)
    message[0, : len(pieces)] = pieces
    gathered = collectives.gather()(ms.Tensor(message)).asnumpy()  # (group.size, length), whole numbers below 2^16: exact
    return [row[: len(pieces)].astype(np.uint16).tobytes()[: len(data)] for row in gathered]


def all_gather(values: NDArray[Any], group: Group) -> NDArray[Any]:
    """The arrays of every rank, stacked by rank: (group.size, *values.shape), of the same dtype, bit for bit.

    All ranks must call it, with the same shape and dtype.
    """
    rows = all_gather_bytes(np.ascontiguousarray(values).tobytes(), group)
    return np.stack([np.frombuffer(row, values.dtype).reshape(values.shape) for row in rows])


def all_reduce_sum(values: NDArray[Any], group: Group) -> NDArray[Any]:
    """The sum over ranks, of the same shape and dtype, the same bits on every rank; whole numbers exactly.

    Args:
        values: int64 or float64 are best; float32 counts are exact below 2^24.
    """
    values = np.asarray(values)
    return all_gather(values, group).sum(axis=0, dtype=values.dtype)


def barrier(group: Group) -> None:
    """Returns when every rank has called it. A run ends with one, so that no rank leaves while another still receives."""
    all_gather_bytes(b"", group)


@contextlib.contextmanager
def master_first(group: Group) -> Iterator[None]:
    """Rank 0 goes through the body, then the first rank of every other server (its disks may be its own), then the rest."""
    turn = 0 if group.rank == 0 else 1 if group.local_rank == 0 else 2
    for _ in range(turn):
        barrier(group)
    yield
    for _ in range(turn, 2):
        barrier(group)


@contextlib.contextmanager
def together(group: Group) -> Iterator[None]:
    """All ranks get through the body, in which they do not communicate, or on all of them it ends with a UserError.

    For errors that need not end the run: a rank that went on alone would exchange numbers that do not belong together.
    """
    error = None
    try:
        yield
    except UserError as own:
        error = own
    failed = np.flatnonzero(all_gather(np.array([error is not None], np.int64), group))
    if error is not None:
        raise error
    if len(failed):
        raise UserError(f"rank {first_of([str(rank) for rank in failed])} failed; its log says why")


def check_same_images(images: int, fingerprint: str, group: Group) -> None:
    """Compares the data sets that the ranks have found, each on its own server.

    Args:
        fingerprint: SHA-256, hexadecimal, of names, sizes and labels.

    Raises:
        UserError: on every rank, naming the ranks whose images are not those of rank 0, and how many they have.
    """
    found = all_gather_bytes(images.to_bytes(8, "little") + bytes.fromhex(fingerprint), group)
    other = [rank for rank, content in enumerate(found) if content != found[0]]
    if other:
        counts = [int.from_bytes(found[rank][:8], "little") for rank in (0, *other)]
        ranks = first_of([f"rank {rank} has {count} images" for rank, count in zip(other, counts[1:])])
        same = " (other ones)" if counts[1] == counts[0] else ""
        raise UserError(f"data_dir: {ranks}{same}, rank 0 has {counts[0]}; every server needs the same files")


def align(parameters: list[ms.Parameter], group: Group, mean: bool) -> None:
    """Gives parameters that differ over the ranks, as running statistics do, the same values everywhere.

    Args:
        parameters: float32, the same ones on every rank.
        mean: their mean over the ranks; otherwise those of rank 0.
    """
    if group.size == 1 or not parameters:
        return
    own = np.concatenate([parameter.asnumpy().ravel() for parameter in parameters])
    by_rank = all_gather(own, group)
    common = by_rank.mean(axis=0, dtype=np.float64).astype(np.float32) if mean else by_rank[0]
    ends = np.cumsum([parameter.size for parameter in parameters])
    for parameter, values in zip(parameters, np.split(common, ends[:-1])):
        # In place: a compiled step with branches (a dynamic loss scale) goes on with its own tensor after `set_data`.
        ops.assign(parameter, ms.Tensor(values.reshape(parameter.shape)))


def check_same_parameters(network: nn.Cell, group: Group, trained_only: bool = True) -> None:
    """Compares every parameter over the ranks by its SHA-256.

    Args:
        trained_only: leaves running statistics out, which may differ: each rank has its own images.

    Raises:
        UserError: on every rank, naming the first parameters that differ and the ranks that differ from rank 0.
    """
    parameters = network.trainable_params() if trained_only else list(network.get_parameters())
    names = "\n".join(f"{p.name} {p.dtype} {p.shape}" for p in parameters)
    digests = [_digest(names.encode())] + [_digest(p.asnumpy().tobytes()) for p in parameters]
    described = np.array([len(parameters)], np.int64)
    if len(set(all_gather(described, group).ravel().tolist())) > 1:
        raise UserError("parameters: the ranks hold networks with different numbers of parameters")
    by_rank = all_gather(np.stack(digests), group)  # (group.size, 1 + parameters, 32)
    differs = (by_rank != by_rank[:1]).any(axis=2)
    ranks = first_of([str(rank) for rank in np.flatnonzero(differs.any(axis=1))])
    if differs[:, 0].any():
        raise UserError(f"parameters: names or shapes on rank {ranks} differ from those on rank 0")
    if differs.any():
        different = first_of([parameters[index - 1].name for index in np.flatnonzero(differs.any(axis=0))])
        raise UserError(f"parameters: {different} on rank {ranks} differ from those on rank 0")


def _digest(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.sha256(data).digest(), np.uint8)
