"""Binary cross entropy on mixed labels, against timm."""

from importlib.util import find_spec

import mindspore as ms
import numpy as np
import pytest

from src.config import build_config
from src.training.losses import create_loss
from src.weights.verification import import_torchvision

torch = pytest.importorskip("torch")
if not find_spec("timm"):
    pytest.skip("timm is not installed", allow_module_level=True)
import_torchvision()
from timm.data.mixup import mixup_target  # noqa: E402
from timm.loss import BinaryCrossEntropy  # noqa: E402


def our_loss(threshold, smoothing):
    return create_loss(
        build_config({"loss": "binary_cross_entropy", "loss_threshold": threshold or 0, "label_smooth_factor": smoothing})
    )


@pytest.mark.parametrize("threshold", [None, 0.2])
def test_binary_cross_entropy_of_mixed_images_is_timms(threshold):
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 4, (8, 10)).astype(np.float32)
    labels = rng.integers(0, 10, 8)
    smoothing, share = 0.1, 0.35
    targets = mixup_target(torch.tensor(labels), 10, share, smoothing)
    theirs = BinaryCrossEntropy(smoothing, threshold)(torch.tensor(logits), targets.float())

    one_hot = np.eye(10, dtype=np.float32)[labels]
    mixed = np.float32(share) * one_hot + np.float32(1 - share) * one_hot[::-1]
    ours = our_loss(threshold, smoothing)(ms.Tensor(logits), ms.Tensor(mixed))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


@pytest.mark.parametrize("threshold", [None, 0.2])
def test_binary_cross_entropy_of_class_numbers_is_timms(threshold):
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(0, 4, (8, 10)).astype(np.float32), rng.integers(0, 10, 8).astype(np.int32)
    theirs = BinaryCrossEntropy(0.1, threshold)(torch.tensor(logits), torch.tensor(labels))
    assert float(our_loss(threshold, 0.1)(ms.Tensor(logits), ms.Tensor(labels))) == pytest.approx(float(theirs), rel=1e-6)
