"""Which image comes when: the order of an epoch, and each process's part of it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..distributed.group import ALONE, Group


def steps_per_epoch(images: int, batch_size: int, group: Group = ALONE) -> int:
    """Steps of an epoch, the same on every rank: whole global batches, of `batch_size` times `group.size` images."""
    return images // (batch_size * group.size)


def epoch_order(images: int, seed: int, epoch: int, repeats: int = 1) -> NDArray[Any]:
    """The order of an epoch, the same on every rank, int64 (images,).

    Args:
        repeats: how often an image of this epoch comes, in immediate succession. An epoch keeps its length and shows
            1/`repeats` of the images, as in DeiT's, torchvision's and timm's samplers of repeated augmentation
            (Hoffer et al. 2019, arXiv 1901.09335; Touvron et al. 2020, arXiv 2012.12877, section 6).
    """
    order = np.random.default_rng([seed, epoch]).permutation(images)
    return np.repeat(order[: -(-images // repeats)], repeats)[:images]


def shard_places(steps: int, batch_size: int, group: Group = ALONE) -> NDArray[Any]:
    """The places in the epoch's order that a rank trains on, step after step, int64 (steps * batch_size,).

    Step s of all ranks together takes the places of batch s of one process with the global batch size. Neighboring places
    go to different ranks, so that the repeats of an image do.
    """
    places = np.arange(steps * batch_size * group.size).reshape(steps, batch_size, group.size)
    return places[:, :, group.rank].ravel()
