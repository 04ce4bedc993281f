import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from conftest import ROOT
from src.config import build_config
from src.errors import UserError
from src.training.distillation import DistillationLoss
from src.training.losses import ClassificationLoss, class_weights, create_loss

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


REFERENCE = np.load(ROOT / "tests/parity/loss_reference.npz")  # written by make_loss_reference.py there
WRITTEN = ",".join(map(repr, REFERENCE["weights"].tolist()))


@pytest.mark.parametrize("name", [name for name in REFERENCE.files if f"{name}.gradient" in REFERENCE.files])
def test_weighted_and_focal_losses_are_those_of_pytorch_torchvision_and_kornia(name):
    values = {"num_classes": 5, "label_smooth": 0, "focal_gamma": name.lstrip("abcdefghijklmnopqrstuvwxyz_") or 0}
    values |= {"loss": "binary_cross_entropy"} if "binary" in name else {}
    values |= {"class_weights": WRITTEN} if "weighted" in name else {}
    config = build_config(values)
    loss = create_loss(config, class_weights(config, REFERENCE["labels"]))
    labels = REFERENCE["mixed"].astype(np.float32) if "mixed" in name else REFERENCE["labels"].astype(np.int32)
    logits = ms.Tensor(REFERENCE["logits"].astype(np.float32))
    value, gradient = ms.value_and_grad(loss)(logits, ms.Tensor(labels))
    assert float(value) == pytest.approx(float(REFERENCE[name]), rel=1e-6)
    np.testing.assert_allclose(gradient.asnumpy(), REFERENCE[f"{name}.gradient"], atol=1e-6)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("labels", [LABELS, MIXED], ids=["numbers", "mixed"])
def test_without_weights_and_exponent_the_loss_is_the_plain_one(binary, labels):
    plain = create_loss(build_config({"loss": "binary_cross_entropy" if binary else "cross_entropy"}))
    weighted = ClassificationLoss(binary, 0.1, 0.0, 0.0, np.ones(5, np.float32))
    expected_loss, actual = (float(loss(ms.Tensor(LOGITS), ms.Tensor(labels))) for loss in (plain, weighted))
    assert actual == pytest.approx(expected_loss, rel=1e-6)


class Step(nn.Cell):
    def __init__(self, loss):
        super().__init__()
        self.value_and_grad = ms.value_and_grad(loss)

    def construct(self, logits, labels):
        return self.value_and_grad(logits, labels)


@pytest.mark.parametrize("focal_gamma", [0, 1.5, 3])
@pytest.mark.parametrize("kind", ["cross_entropy", "binary_cross_entropy", "soft", "hard"])
def test_every_step_of_a_process_computes_the_same_bits(kind, focal_gamma):
    """MindSpore tries out shares for its threads in the first steps; no more than the shares may change with it."""
    loss = create_loss(build_config({"focal_gamma": focal_gamma, **({"loss": kind} if "cross" in kind else {})}))
    rng = np.random.default_rng(0)
    logits, answers, labels = rng.normal(0, 3, (3, 12, 3)).astype(np.float32)  # neither 12 nor 36 fill registers of 8
    given = ms.Tensor(np.abs(labels) / np.abs(labels).sum(1, keepdims=True))
    if "cross" not in kind:
        loss, given = DistillationLoss(loss, kind, 0.5, 2.0), (given, ms.Tensor(answers))
    step = Step(loss)
    results = {tuple(part.asnumpy().tobytes() for part in step(ms.Tensor(logits), given)) for _ in range(40)}
    assert len(results) == 1


def test_a_sure_network_has_a_finite_gradient_below_exponent_1():
    loss = ClassificationLoss(False, 0.0, 0.0, 0.5, None)
    sure = ms.Tensor(np.array([[200.0, 0.0]], np.float32))
    value, gradient = ms.value_and_grad(loss)(sure, ms.Tensor(np.array([0], np.int32)))
    assert float(value) == 0 and np.isfinite(gradient.asnumpy()).all()


def test_rules_of_class_weights():
    labels = np.array([0] * 90 + [1] * 9 + [2], np.int32)

    def weights(rule):
        return class_weights(build_config({"num_classes": 3, "class_weights": rule}), labels)

    assert weights("none") is None
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    expected_weights = sklearn.compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights("balanced"), expected_weights, rtol=1e-6)
    raw = (1 - 0.99) / (1 - 0.99 ** np.array([90, 9, 1]))  # Cui et al. 2019, equation 10
    np.testing.assert_allclose(weights("effective:0.99"), raw / raw[labels].mean(), rtol=1e-6)
    for rule in ("balanced", "effective", "effective:0.9999"):
        assert weights(rule)[labels].mean() == pytest.approx(1)
    assert (weights("1,0,2.5") == [1, 0, 2.5]).all()
    with pytest.raises(UserError, match="class_weights: 2 weights for 3 classes"):
        weights("1,2")


@pytest.mark.parametrize("rule", ["equal", "effective:1", "effective:x", "balanced:0.9", "1,-1", "1,nan", "0,0", "1,inf"])
def test_what_is_no_rule_of_class_weights_is_one_line(rule):
    with pytest.raises(UserError, match="class_weights: .*expected none, balanced, effective, effective:0.99 or one number"):
        build_config({"class_weights": rule})


def test_balanced_sampling_and_balanced_weights_are_one_too_many():
    with pytest.raises(UserError, match="class_weights: balanced evens out what sampling balanced has already"):
        build_config({"class_weights": "balanced", "sampling": "balanced"})
