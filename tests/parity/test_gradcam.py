"""Heat maps are those of the package grad-cam on the same weights; make_gradcam_reference.py wrote down its side."""

import sys
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from src.evaluation.gradcam import heat_maps
from src.formats.opening import inside_of
from src.models.create import create_model
from src.networks.registry import find_model, list_models

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from weights import draw_images, draw_weights  # noqa: E402

TOLERANCE = 1e-4  # of heat from 0 to 1
FEW = ("resnet18", "resnext11_8x16d", "seresnet50", "resnest14d")  # every kind of block, three stages and four


@pytest.fixture(scope="module")
def reference():
    with np.load(FOLDER / "gradcam_reference.npz") as file:
        return dict(file)


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.exhaustive] * (n not in FEW)) for n in list_models()])
def test_heat_maps_are_those_of_grad_cam(name, reference):
    small = find_model(name).stem == "cifar"
    network = create_model(name, 10 if small else 1000)
    weights = draw_weights({parameter.name: parameter.shape for parameter in network.get_parameters()})
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(weights[parameter.name]))
    images = draw_images(32 if small else 64)
    found = heat_maps(inside_of(network.set_train(False)), images, reference[f"{name}.classes"])
    assert found.dtype == np.float32 and found.shape == (2, *images.shape[2:])
    assert found.min() >= 0 and found.max() <= 1
    assert np.abs(found[:, ::5, ::5] - reference[f"{name}.maps"]).max() <= TOLERANCE


def test_the_reference_would_show_a_mistake(reference):
    for name in list_models():
        maps = reference[f"{name}.maps"]
        assert maps.std(axis=(1, 2)).max() > 0.05 and np.abs(maps[0] - maps[1]).max() > 0.05, name
