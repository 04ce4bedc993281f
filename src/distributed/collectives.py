"""MindSpore's collectives (HCCL, NCCL, on the CPU MCCL): the only file that touches its parallel interface.

Nothing here asks for a parallel mode of the framework, whose static ones are announced to go: a collective is an operator.
"""

import functools
import itertools
from typing import Any

import mindspore as ms
from mindspore import communication, nn, ops


def meet() -> None:
    """Joins the other processes of the job, in the role that the environment gives. Raises RuntimeError if that fails."""
    communication.init()


def place_among_ranks() -> tuple[int, int]:
    """The number of this rank, and how many there are."""
    return communication.get_rank(), communication.get_group_size()


@functools.lru_cache(maxsize=1)
def gather() -> nn.Cell:
    """The cell `Gather`, one for the process, so that each length is compiled once."""
    return Gather()


class Gather(nn.Cell):
    """AllGather over all ranks: (1, n) -> (ranks, n)."""

    def __init__(self):
        super().__init__(auto_prefix=False)
        self.gather = ops.AllGather()

    def construct(self, message: ms.Tensor) -> ms.Tensor:
        return self.gather(message)


class GradientMean(nn.Cell):
    """Means of gradients over all ranks, in buckets: a few large collectives instead of one for each parameter.

    A bucket holds neighbors in the network. The first one to travel has its last layers, whose gradients the backward pass
    computes first: where collectives run beside computation (Ascend, GPU), they need not wait for its end. Every rank has
    the same buckets in the same order, one after the other.

    Inputs: gradients, a tuple of float32, of the parameters' shapes; notes float32 (n,), which travel with the last bucket.
    Outputs: the means over ranks, as the gradients; the sums of the notes over ranks.

    Args:
        parameters: those whose gradients come, in their order.
        ranks: how many there are.
        bucket_mb: MiB of gradients that a bucket holds at most, unless one gradient alone is larger; 0: one in each.

    Reference: Li et al. 2020, "PyTorch Distributed", arXiv 2006.15704, section 3.2.3.
    """

    def __init__(self, parameters: Any, ranks: int, bucket_mb: int):
        super().__init__(auto_prefix=False)
        self.all_reduce = ops.AllReduce()
        self.share = 1 / ranks
        self.map = ops.HyperMap()  # compiles faster than a loop
        sizes = tuple(int(parameter.size) for parameter in parameters)
        self.buckets = tuple(buckets(sizes, bucket_mb))
        # Where the gradients of a bucket begin in it.
        self.places = tuple(tuple(itertools.accumulate(sizes[start : stop - 1], initial=0)) for start, stop in self.buckets)

    def construct(self, gradients, notes):
        means: tuple[Any, ...] = ()
        total = notes
        for number in range(len(self.buckets)):
            start, stop = self.buckets[number]
            held = gradients[start:stop]
            pieces = self.map(self.flat, held)
            if start == 0:
                pieces = pieces + (notes,)
            bucket = ops.concat(pieces) if len(pieces) > 1 else pieces[0]
            if number > 0:
                bucket = ops.depend(bucket, total)
            total = self.all_reduce(bucket)
            means = self.map(ops.partial(self.part, total * self.share), held, self.places[number]) + means
        return means, total[-notes.shape[0] :]

    def flat(self, gradient):
        """(n,)."""
        return ops.reshape(gradient, (-1,))

    def part(self, bucket, gradient, place):
        """What a bucket holds from `place` on, in a gradient's shape."""
        return ops.reshape(bucket[place : place + gradient.size], gradient.shape)


def buckets(sizes: tuple[int, ...], bucket_mb: int) -> list[tuple[int, int]]:
    """Which neighbors travel together: (first, last + 1), from the last gradients to the first ones.

    Args:
        sizes: numbers in each gradient, of 4 bytes.
        bucket_mb: as that of `GradientMean`.
    """
    found, stop, held = [], len(sizes), 0
    for index in reversed(range(len(sizes))):
        size = 4 * sizes[index]
        if held and held + size > bucket_mb << 20:
            found.append((index + 1, stop))
            stop, held = index + 1, 0
        held += size
    return [*found, (0, stop)]
