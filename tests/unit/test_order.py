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
