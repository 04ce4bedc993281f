"""Which image comes when: the order of an epoch, and each process's part of it."""

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ..distributed.group import ALONE, Group


def steps_per_epoch(images: int, batch_size: int, group: Group = ALONE) -> int:
    """Steps of an epoch, the same on every rank: whole global batches, of `batch_size` times `group.size` images."""
    return images // (batch_size * group.size)


def epoch_order(
    images: int, seed: int, epoch: int, repeats: int = 1, balanced: Optional[NDArray[np.int32]] = None
) -> NDArray[Any]:
    """The order of an epoch, the same on every rank, int64 (images,).

    Args:
        repeats: how often an image of this epoch comes, in immediate succession. An epoch keeps its length and shows
            1/`repeats` of the images, as in DeiT's, torchvision's and timm's samplers of repeated augmentation
            (Hoffer et al. 2019, arXiv 1901.09335; Touvron et al. 2020, arXiv 2012.12877, section 6).
        balanced: labels (images,) of classes that shall all come equally often, to within one; None: every image once.
    """
    generator = np.random.default_rng([seed, epoch])
    different = -(-images // repeats)
    order = generator.permutation(images) if balanced is None else _balanced_order(balanced, different, generator)
    return np.repeat(order[:different], repeats)[:images]


def _balanced_order(labels: NDArray[np.int32], places: int, generator: np.random.Generator) -> NDArray[Any]:
    """Images such that each class has `places` / classes of them, to within one, int64 (places,).

    Within a class no image comes again before all others have come.
    """
    counts = np.bincount(labels)
    members = [part for part in np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1]) if len(part)]
    shares = np.full(len(members), places // len(members))
    shares[generator.permutation(len(members))[: places % len(members)]] += 1
    drawn = []
    for part, share in zip(members, shares):
        rounds = [generator.permutation(part) for _ in range(-(-share // len(part)))]
        drawn.append(np.concatenate([part[:0], *rounds])[:share])
    return generator.permutation(np.concatenate(drawn))


def shard_places(steps: int, batch_size: int, group: Group = ALONE) -> NDArray[Any]:
    """The places in the epoch's order that a rank trains on, step after step, int64 (steps * batch_size,).

    Step s of all ranks together takes the places of batch s of one process with the global batch size. Neighboring places
    go to different ranks, so that the repeats of an image do.
    """
    places = np.arange(steps * batch_size * group.size).reshape(steps, batch_size, group.size)
    return places[:, :, group.rank].ravel()
