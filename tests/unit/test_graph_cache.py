import os
from pathlib import Path

import numpy as np
import pytest

from src.config import build_config
from src.data.cache import pack_json, write_arrays
from src.distributed.group import ALONE, Group
from src.training import graph_cache
from src.training.build import create_network, create_step
from src.training.graph_cache import GraphCache, graph_name
from src.training.start import _graphs

BASE = {"backbone": "resnext11_8x16d", "num_classes": 3}


def name_of(steps: int = 4, group: Group = ALONE, **values) -> str:
    config = build_config({**BASE, **values})
    step = create_step(create_network(config), np.full(steps, 0.1, np.float32), config, "CPU", group)
    return graph_name(step, config, group, "CPU")


@pytest.fixture(scope="module")
def name() -> str:
    return name_of()


def test_runs_that_are_compiled_alike_have_one_name(name):
    assert name == name_of() == name_of(ckpt_path="elsewhere", data_dir="images", resume="auto", eval_batch_size=3)


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 5}, {"group": Group(1, 2, 1)}, {"per_batch_size": 4}, {"weight_decay": 0.01}, {"freeze": "layer1"},
        {"log_interval": 7}, {"image_size": "32,32"}, {"accumulate_steps": 2}, {"amp_level": "O2"}, {"seed": 5},
    ],
    ids=lambda values: next(iter(values)),
)  # fmt: skip
def test_whatever_may_change_the_graph_changes_the_name(name, values):
    assert name_of(**values) != name


def test_weights_of_classes_which_the_data_decide_change_the_name():
    config, names = build_config(BASE), []
    for weights in ([1, 2, 3], [1, 2, 3], [1, 2, 4]):
        rates, by_class = np.full(4, 0.1, np.float32), np.array(weights, np.float32)
        step = create_step(create_network(config), rates, config, "CPU", class_weights=by_class)
        names.append(graph_name(step, config, ALONE, "CPU"))
    assert names[0] == names[1] != names[2]


def test_the_size_of_the_crops_that_come_first_changes_the_name():
    config = build_config({**BASE, "train_image_size": "12@0,16@1"})
    step = create_step(create_network(config), np.full(4, 0.1, np.float32), config, "CPU")
    files = [_graphs(config, step, epoch, ALONE, "CPU").file for epoch in (0, 1, 2)]
    assert files[0] != files[1] == files[2]


def test_another_source_or_release_has_another_name(name, monkeypatch):
    monkeypatch.setattr(graph_cache.ms, "__version__", "2.99")
    assert name_of() != name


def test_what_was_kept_comes_back_and_what_is_damaged_or_hostile_does_not(tmp_path, monkeypatch):
    for name in ("MS_COMPILER_CACHE_ENABLE", "MS_COMPILER_CACHE_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.argv", [__file__])  # a worker of the tests has no program

    def write(cache: GraphCache) -> str:
        return os.path.join(os.environ["MS_COMPILER_CACHE_PATH"], "rank_0/graph")

    first = GraphCache(tmp_path, "a")
    first.open()
    os.makedirs(os.path.dirname(write(first)))
    Path(write(first)).write_bytes(b"compiled")
    first.close()
    assert "MS_COMPILER_CACHE_ENABLE" not in os.environ

    second = GraphCache(tmp_path, "a")
    second.open()
    assert second.is_known and Path(write(second)).read_bytes() == b"compiled"
    second.close(compiled=False)
    second.open()  # the step is still to be compiled
    second.close()
    second.open()
    assert second.private is None

    whole = second.file.read_bytes()
    for damaged in (whole[:-100], whole.replace(b"compiled", b"compilex")):
        second.file.write_bytes(damaged)
        cache = GraphCache(tmp_path, "a")
        cache.open()
        assert not cache.is_known
        cache.close(compiled=False)

    for sizes in ({"../outside": 3}, {"graph": "3"}, {}):
        write_arrays(tmp_path / "graph-b.npz", {"sizes": pack_json(sizes), "contents": np.zeros(3, np.uint8)})
        cache = GraphCache(tmp_path, "b")
        cache.open()
        assert not cache.is_known
        cache.close(compiled=False)
    assert not list(tmp_path.glob("**/outside"))


def test_a_cache_that_the_user_has_set_up_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_COMPILER_CACHE_ENABLE", "1")
    cache = GraphCache(tmp_path, "a")
    cache.open()
    cache.close()
    assert os.environ["MS_COMPILER_CACHE_ENABLE"] == "1" and not list(tmp_path.iterdir())
