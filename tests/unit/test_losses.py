import mindspore as ms
import numpy as np
import pytest

from src.config import build_config
from src.errors import UserError
from src.training.losses import create_loss

LOGITS = np.random.default_rng(0).normal(0, 3, (6, 5)).astype(np.float32)
LABELS = np.array([0, 4, 2, 2, 1, 3], np.int32)
ONE_HOT = np.eye(5, dtype=np.float32)[LABELS]
MIXED = (0.3 * ONE_HOT + 0.7 * ONE_HOT[::-1]).astype(np.float32)


def loss_and_gradient(labels: np.ndarray, **values) -> tuple:
    loss = create_loss(build_config(values))
    value, gradient = ms.value_and_grad(loss)(ms.Tensor(LOGITS), ms.Tensor(labels))
    return float(value), gradient.asnumpy()


def expected(targets: np.ndarray) -> tuple:
    """In float64, from the definition."""
    shares = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    loss = -np.mean(targets * np.log(shares) + (1 - targets) * np.log(1 - shares))
    return loss, (shares - targets) / targets.size


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("labels", [LABELS, ONE_HOT, MIXED], ids=["numbers", "one-hot", "mixed"])
def test_binary_cross_entropy_is_its_definition(labels, smoothing):
    values = {"loss": "binary_cross_entropy", "label_smooth_factor": smoothing}
    loss, gradient = loss_and_gradient(labels, **values)
    shares = ONE_HOT if labels.ndim == 1 else labels
    true_loss, true_gradient = expected(shares * (1 - smoothing) + smoothing / 5)
    assert loss == pytest.approx(true_loss, rel=1e-6)
    np.testing.assert_allclose(gradient, true_gradient, atol=1e-7)


@pytest.mark.parametrize(("threshold", "counted"), [(0.2, [0.3, 0.7]), (0.5, [0.7])])
def test_shares_above_the_threshold_count_in_full(threshold, counted):
    values = {"loss": "binary_cross_entropy", "loss_threshold": threshold, "label_smooth_factor": 0.1}
    loss, _ = loss_and_gradient(MIXED, **values)
    targets = (np.isin(MIXED.round(1), np.float32(counted)) | (MIXED == 1)).astype(np.float64)
    assert loss == pytest.approx(expected(targets)[0], rel=1e-6)


def test_a_threshold_belongs_to_binary_cross_entropy():
    with pytest.raises(UserError, match="loss_threshold: 0.2 needs --loss binary_cross_entropy"):
        build_config({"loss_threshold": 0.2})
