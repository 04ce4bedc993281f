import numpy as np
import pytest

from src.data.order import epoch_order, shard_places, steps_per_epoch
from src.distributed.group import Group


@pytest.mark.parametrize(("images", "batch_size", "ranks"), [(100, 4, 3), (25, 4, 2), (64, 8, 8), (7, 2, 1)])
def test_a_step_of_all_ranks_is_the_batch_of_one_process_with_the_global_size(images, batch_size, ranks):
    order = epoch_order(images, seed=3, epoch=2)
    steps = steps_per_epoch(images, batch_size, Group(0, ranks))
    assert steps == images // (batch_size * ranks)
    alone = order[shard_places(steps, batch_size * ranks)].reshape(steps, -1)
    parts = [order[shard_places(steps, batch_size, Group(rank, ranks))].reshape(steps, -1) for rank in range(ranks)]
    assert all(part.shape == (steps, batch_size) for part in parts)
    for step in range(steps):
        together = np.concatenate([part[step] for part in parts])
        assert len(set(together)) == len(together) and sorted(together) == sorted(alone[step])


def test_an_order_holds_every_image_once_and_depends_on_seed_and_epoch():
    orders = [epoch_order(50, seed, epoch) for seed, epoch in ((1, 0), (1, 1), (2, 0))]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert (orders[0] == epoch_order(50, 1, 0)).all()


def test_repeated_images_follow_each_other_and_go_to_different_ranks():
    order = epoch_order(26, seed=1, epoch=0, repeats=3)
    assert len(order) == 26
    assert (order[:24].reshape(8, 3) == order[:24:3, None]).all() and len(set(order)) == 9
    steps = steps_per_epoch(26, 4, Group(0, 3))
    for rank in range(3):
        part = order[shard_places(steps, 4, Group(rank, 3))]
        assert len(set(part)) == len(part)


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_balanced_order_shows_every_class_equally_often_and_every_image_of_a_class_too(repeats):
    labels = np.array([0] * 70 + [1] * 20 + [4] * 9 + [7], np.int32)  # classes without images do not count
    orders = [epoch_order(100, 1, epoch, repeats, labels) for epoch in (0, 1)]
    for order in orders:
        different = order[::repeats]
        counts = np.bincount(labels[different])
        assert len(order) == 100 and (counts[counts > 0].max() - counts[counts > 0].min() <= 1) and (counts > 0).sum() == 4
        for label in (0, 1, 4, 7):
            shown = np.bincount(different, minlength=100)[labels == label]
            assert shown.max() - shown.min() <= 1
    assert (orders[0] == epoch_order(100, 1, 0, repeats, labels)).all() and (orders[0] != orders[1]).any()
    seen = {image for epoch in range(40 * repeats) for image in epoch_order(100, 1, epoch, repeats, labels)}
    assert len(seen) == 100  # a large class is shown in parts, other parts in other epochs


def test_a_balanced_order_of_fewer_places_than_classes():
    labels = np.arange(10, dtype=np.int32).repeat(2)
    order = epoch_order(20, 1, 0, 5, labels)
    assert len(set(labels[order])) == 4 and len(order) == 20


def test_ranks_share_a_balanced_order():
    labels = np.array([0] * 30 + [1] * 3, np.int32)
    order = epoch_order(33, 1, 0, 1, labels)
    alone = order[shard_places(4, 8)].reshape(4, 8)
    for ranks in (2, 4):
        parts = [order[shard_places(4, 8 // ranks, Group(rank, ranks))].reshape(4, -1) for rank in range(ranks)]
        assert (np.sort(np.concatenate(parts, 1)) == np.sort(alone)).all()
