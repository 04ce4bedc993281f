"""The mean of networks and its running statistics are those of PyTorch (make_averaging_reference.py writes its side)."""

import dataclasses
import sys
from pathlib import Path

import mindspore as ms
import numpy as np

from src.models.create import create_model
from src.networks import registry
from src.networks.registry import find_model
from src.weights.averaging import mean_of, recompute_statistics

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from training import (  # noqa: E402
    AVERAGED_NETWORK,
    NETWORKS,
    NUM_CLASSES,
    STATISTICS_SEEDS,
    draw_batch,
    members_of,
    sample,
)


def test_mean_and_statistics_are_pytorchs(monkeypatch):
    published, stage_sizes, *_ = NETWORKS[AVERAGED_NETWORK]
    monkeypatch.setitem(
        registry._MODELS, AVERAGED_NETWORK, dataclasses.replace(find_model(published), stage_sizes=stage_sizes)
    )
    network = create_model(AVERAGED_NETWORK, NUM_CLASSES)
    mean = mean_of(members_of({parameter.name: parameter.shape for parameter in network.get_parameters()}))
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(mean[parameter.name]))
    recompute_statistics(network, [draw_batch(seed)[0] for seed in STATISTICS_SEEDS])

    samples = sample({parameter.name: parameter.asnumpy() for parameter in network.get_parameters()})
    with np.load(FOLDER / "averaging_reference.npz") as file:
        expected = {name: file[name] for name in file.files if name != "versions"}
    assert set(samples) == set(expected)
    differences = {name: np.abs(samples[name] - expected[name]).max() / expected[name][-1] for name in expected}
    assert max(differences.values()) <= 1e-5, sorted(differences.items(), key=lambda item: -item[1])[:5]
