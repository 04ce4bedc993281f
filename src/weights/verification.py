"""Compares imported weights with the network that they come from, where PyTorch, torchvision and timm are installed."""

import argparse
import importlib.util
import logging
import pickle
import sys
from pathlib import Path
from typing import Any, Optional

import mindspore as ms
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, first_line
from ..model_info import ModelInfo
from ..networks.registry import find_model
from .parameter_names import our_name
from .reading import find_weights, read_weight_file
from .writing import network_with

log = logging.getLogger("resnet_zoo")

LARGEST_DIFFERENCE = 1e-4  # of a logit, as a share of the largest one: float32 sums in another order


def check_installed(backbone: str) -> None:
    """Raises UserError where the network that this one is compared with cannot be built here."""
    package = _package(backbone)
    missing = [name for name in ("torch", package) if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"--verify: {' and '.join(missing)} not installed here; nothing was compared, nothing written")
    if package == "timm" and not _timm().is_model(backbone):
        raise UserError(f"--verify: neither torchvision nor timm has {backbone}; import it without --verify")


def verify(values: dict[str, NDArray[Any]], info: ModelInfo, source: Path, averaged: bool) -> float:
    """The largest difference of logits between our network and theirs, each with the weights of `source`.

    Returns:
        The largest absolute difference over two images, divided by the largest absolute logit.

    Raises:
        UserError: above `LARGEST_DIFFERENCE`, `source` is no file of PyTorch or safetensors, or its network pads unlike
            theirs.
    """
    if info.padding != "symmetric":
        raise UserError(
            f"--verify: {source} is for padding '{info.padding}', torchvision and timm pad symmetrically; "
            "import it without --verify"
        )
    assert info.backbone, "weights are read for a network"
    size = find_model(info.backbone).image_size
    images = np.random.default_rng(0).standard_normal((2, 3, size, size), np.float32)
    ours = network_with(values, info)(ms.Tensor(images)).asnumpy()
    theirs, versions = _their_logits(info.backbone, info.num_classes, source, averaged, images)
    difference = float(np.abs(ours - theirs).max() / np.abs(theirs).max())
    log.info("compared with %s: largest relative difference of logits %.2e", versions, difference)
    if not difference <= LARGEST_DIFFERENCE:
        raise UserError(f"{source}: logits differ by {difference:.2e} from {versions}, more than {LARGEST_DIFFERENCE:g}")
    return difference


def _package(backbone: str) -> str:
    """torchvision's ResNet covers every network with plain blocks and the 7x7 stem."""
    spec = find_model(backbone)
    return "torchvision" if spec.stem == "imagenet" and spec.block != "split" and not spec.squeeze else "timm"


def _their_logits(
    backbone: str, num_classes: Optional[int], source: Path, averaged: bool, images: NDArray[np.float32]
) -> tuple[NDArray[Any], str]:
    import torch

    weights, _, _ = find_weights(_load(source), averaged, lambda value: isinstance(value, torch.Tensor))
    package = _package(backbone)
    if package == "torchvision":
        library = import_torchvision()
        spec = find_model(backbone)
        block = {"basic": library.models.resnet.BasicBlock, "bottleneck": library.models.resnet.Bottleneck}[spec.block]
        network = library.models.resnet.ResNet(
            block, list(spec.stage_sizes), num_classes, groups=spec.groups, width_per_group=spec.base_width
        )
    else:
        library = _timm()
        network = library.create_model(backbone, num_classes=num_classes)
    try:
        network.load_state_dict(
            {our_name(name): value for name, value in weights.items() if not name.endswith("n_averaged")}, strict=True
        )
    except RuntimeError as error:
        raise UserError(f"--verify: {package} refuses the weights: {first_line(error)}") from None
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(images)).numpy()
    return logits, f"{package} {library.__version__} on PyTorch {torch.__version__}"


def _load(source: Path) -> dict[str, Any]:
    import torch

    file_format = read_weight_file(source).format
    if file_format == "safetensors":
        from safetensors.torch import load_file

        return load_file(source)
    if not file_format.startswith("PyTorch"):
        raise UserError(f"--verify: {source} is no file of PyTorch or safetensors; import it without --verify")
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UserError(f"--verify: PyTorch does not load {source} with weights_only; import it without --verify") from None


def import_torchvision():
    """torchvision, also where its compiled operators, which no network here needs, do not load.

    Those on PyPI are built for PyTorch with CUDA. Beside a PyTorch without it torchvision does not import unless the
    operators that it registers shapes for are declared.
    """
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
        import torch

        for module in [module for module in sys.modules if module.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


def _timm():
    import_torchvision()  # timm imports it
    import timm

    return timm
