"""The networks answer as torchvision's do, have its parameters under its names, and as many as were published.

reference.npz holds torchvision's side (make_reference.py writes it), so that these tests need no PyTorch. Where there is
one, two networks are compared with it directly as well.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import mindspore as ms
import numpy as np
import pytest

from src.models.complexity import count_multiply_adds
from src.models.create import create_model
from src.networks.published import find_accuracy
from src.networks.registry import find_model, list_models
from src.weights.listing import published

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from weights import AT_OWN_SIZE, digest, draw_images, draw_weights  # noqa: E402

# Of the largest absolute logit. Two float32 implementations that sum in different orders differ by up to 1e-6 of it, while
# a mistake as small as a batch norm's epsilon of 1e-4 instead of 1e-5 shows as 9e-5.
TOLERANCE = 1e-5

# Millions: He et al. 2015, arXiv 1512.03385, table 6; Xie et al. 2016, arXiv 1611.05431, table 7.
CIFAR_PAPERS = {
    "resnet20": "0.27",
    "resnet32": "0.46",
    "resnet44": "0.66",
    "resnet56": "0.85",
    "resnet110": "1.7",
    "resnext29_8x64d": "34.4",
    "resnext29_16x64d": "68.1",
}
# torchvision's documentation, the property "num_params" of its weights.
PUBLISHED = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "resnext101_32x8d": 88_791_336,
    "resnext101_64x4d": 83_455_272,
}
BIG = ("resnet101", "resnet152", "resnext101", "resnext152", "resnext29")


# Made of the same code as others at another size or radix; `-m "exhaustive or not exhaustive"` runs them too.
EXHAUSTIVE = (
    "wide_resnet101_2", "seresnet50", "seresnext101_32x4d", "resnest26d", "resnest200e", "resnest269e", "resnest50d_1s1x64d",
    "resnest50d_2s1x64d", "resnest50d_4s1x64d", "resnest50d_1s2x40d", "resnest50d_2s2x40d", "resnext101_32x4d",
)  # fmt: skip


def _marked(name: str):
    marks = [pytest.mark.slow] if name.startswith(BIG) else []
    return pytest.param(name, marks=[*marks, *[pytest.mark.exhaustive] * (name in EXHAUSTIVE)])


def _small(name: str):
    """Big ones are exhaustive as well, where a network runs at its own image size."""
    exhaustive = name in EXHAUSTIVE or name.startswith((*BIG, "resnest101e"))
    return pytest.param(name, marks=[pytest.mark.slow, *[pytest.mark.exhaustive] * exhaustive])


@pytest.fixture(scope="module")
def reference():
    with np.load(FOLDER / "reference.npz") as file:
        return dict(file)


@pytest.fixture(scope="module", params=[_marked(name) for name in list_models()])
def named_network(request, reference):
    """Name and network; pytest runs all tests of one network before it builds the next."""
    return request.param, create_model(request.param, reference[f"{request.param}.logits"].shape[1])


def _shapes(network) -> dict:
    return {parameter.name: parameter.shape for parameter in network.get_parameters()}


def _count(network) -> int:
    return sum(parameter.size for parameter in network.trainable_params())


def _logits(network, images: np.ndarray) -> np.ndarray:
    """The network's answer with the weights of weights.py."""
    weights = draw_weights(_shapes(network))
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(weights[parameter.name]))
    return network.set_train(False)(ms.Tensor(images)).asnumpy()


def _images(name: str) -> np.ndarray:
    return draw_images(32 if find_model(name).stem == "cifar" else 64)


def _assert_close(logits: np.ndarray, expected: np.ndarray) -> None:
    assert logits.shape == expected.shape
    assert logits.dtype == np.float32
    difference = np.abs(logits - expected).max() / np.abs(expected).max()
    assert difference <= TOLERANCE, f"logits differ by {difference:.1e} of the largest"


def test_reference_has_every_network(reference):
    assert {key.rpartition(".")[0] for key in reference if "." in key} == set(list_models())


def test_reference_would_show_a_mistake(reference):
    for name in list_models():
        logits = reference[f"{name}.logits"]
        assert 0.1 < logits.std() < 10, name
        assert np.std(logits[0] - logits[1]) > 0.1 * logits.std(), name


@pytest.mark.slow
def test_names_and_shapes_are_torchvisions(named_network, reference):
    name, network = named_network
    assert digest(_shapes(network)) == reference[f"{name}.shapes"]


def test_parameter_count_is_torchvisions(named_network, reference):
    name, network = named_network
    assert _count(network) == reference[f"{name}.parameters"]


@pytest.mark.slow
def test_logits_are_torchvisions(named_network, reference):
    name, network = named_network
    _assert_close(_logits(network, _images(name)), reference[f"{name}.logits"])


def _mark_own_size(name: str):
    few = name in ("resnet18", "resnest50d")
    return pytest.param(name, marks=[pytest.mark.slow, *[pytest.mark.exhaustive] * (not few)])


@pytest.mark.slow
@pytest.mark.parametrize("name", [_mark_own_size(name) for name in AT_OWN_SIZE])
def test_logits_at_the_networks_own_image_size_are_torchvisions(name, reference):
    images = draw_images(find_model(name).image_size)
    _assert_close(_logits(create_model(name), images), reference[f"{name}.logits_at_own_size"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [_small(name) for name in list_models()])
def test_multiply_adds_are_torchvisions(name, reference):
    size = find_model(name).image_size
    counted = count_multiply_adds(create_model(name, reference[f"{name}.logits"].shape[1]), (size, size))
    assert counted == reference[f"{name}.multiply_adds"]


def test_published_accuracies_are_torchvisions(reference):
    stated = {name: float(reference[f"{name}.top1"]) for name in list_models() if f"{name}.top1" in reference}
    files = {file.name: file.top1 for file in published()}
    assert {name: files[f"torchvision:{name}.IMAGENET1K_V1"] for name in stated} == stated
    quoted = {name: find_accuracy(name) for name in list_models()}
    ours = {name: a for name, a in quoted.items() if a and a.source.startswith("torchvision, ")}
    assert len(ours) == 4
    for name, accuracy in ours.items():
        assert float(accuracy.top1) == files[f"torchvision:{name}.{accuracy.source.split()[1]}"]
    assert [name for name, accuracy in quoted.items() if accuracy is None] == ["resnext11_8x16d"]


# The networks above have the stored counts, so these need not be built.
@pytest.mark.parametrize("name", PUBLISHED)
def test_parameter_count_is_published(name, reference):
    assert reference[f"{name}.parameters"] == PUBLISHED[name]


@pytest.mark.parametrize("name", CIFAR_PAPERS)
def test_parameter_count_is_the_papers(name, reference):
    published = CIFAR_PAPERS[name]
    last_digit = 10 ** -len(published.partition(".")[2])  # the papers round some of them and cut others off
    assert abs(reference[f"{name}.parameters"] / 1e6 - float(published)) < last_digit


@pytest.mark.parametrize("name", ["resnet18", "resnext50_32x4d"])
def test_live_torchvision(name):
    for module in ("torch", "torchvision"):
        if not find_spec(module):
            pytest.skip(f"{module} is not installed; the stored logits are compared all the same")
    import torch
    from make_reference import network_with_drawn_weights

    images = _images(name)
    with torch.inference_mode():
        expected = network_with_drawn_weights(name)(torch.from_numpy(images)).numpy()
    _assert_close(_logits(create_model(name), images), expected)
