import mindspore as ms
import numpy as np
import pytest
from mindspore import nn

from src.config import build_config
from src.cpu.choice import obstacle
from src.training.losses import create_loss
from src.training.optimizers import create_optimizer
from src.training.step import GRADIENT_MEANS, MovingAverage, TrainStep

IMAGES = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)
RATES = np.array([0.1, 0.3, 0.2], np.float32)
SMOOTHING = 0.1


class Normalized(nn.Cell):
    """A linear classifier behind a batch norm, whose running statistics a step changes."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.classifier = nn.Dense(4, 3, weight_init=ms.Tensor(_start()), bias_init="ones")

    def construct(self, x):
        return self.classifier(self.norm(x.reshape((-1, 4, 1, 1))).reshape((-1, 4)))


def linear() -> nn.Cell:
    return nn.Dense(4, 3, weight_init=ms.Tensor(_start()), bias_init="ones")


def create(network: nn.Cell, rates=RATES, **values) -> TrainStep:
    options = {
        key: values.pop(key)
        for key in ("scale_window", "accumulate_steps", "clip_norm", "average", "blocked")
        if key in values
    }
    config = build_config({"momentum": 0.9, "weight_decay": 0.01, "label_smooth_factor": SMOOTHING, **values})
    optimizer = create_optimizer(network, np.array(rates, np.float32), config)
    return TrainStep(network, optimizer, create_loss(config), config.loss_scale, **options).set_train()


def run(step: TrainStep, images=IMAGES, labels=LABELS) -> tuple:
    loss, finite, scale = step(ms.Tensor(images), ms.Tensor(labels))
    return float(loss.asnumpy()), bool(finite.asnumpy()), float(scale.asnumpy())


def values_of(cell: nn.Cell) -> dict:
    return {parameter.name: parameter.asnumpy().copy() for parameter in cell.get_parameters()}


def by_hand(decay_bias: bool = False, nesterov: bool = False, clip_norm: float = np.inf) -> tuple:
    """Three steps of the linear classifier in NumPy, float64: weight, bias, losses, norms of the gradients."""
    weight, bias = _start().astype(np.float64), np.ones(3)
    speed, bias_speed, losses, norms = np.zeros((3, 4)), np.zeros(3), [], []
    targets = np.full((6, 3), SMOOTHING / 3)
    targets[np.arange(6), LABELS] += 1 - SMOOTHING
    for rate in RATES:
        logits = IMAGES @ weight.T + bias
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        losses.append(-(targets * np.log(probabilities)).sum(1).mean())
        error = (probabilities - targets) / 6
        gradient, bias_gradient = error.T @ IMAGES, error.sum(0)
        norms.append(np.sqrt((gradient**2).sum() + (bias_gradient**2).sum()))
        share = min(1, clip_norm / norms[-1])
        gradient, bias_gradient = share * gradient + 0.01 * weight, share * bias_gradient + 0.01 * decay_bias * bias
        speed, bias_speed = 0.9 * speed + gradient, 0.9 * bias_speed + bias_gradient
        change = gradient + 0.9 * speed if nesterov else speed
        bias_change = bias_gradient + 0.9 * bias_speed if nesterov else bias_speed
        weight, bias = weight - rate * change, bias - rate * bias_change
    return weight, bias, losses, norms


def _start() -> np.ndarray:
    return np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32)


def assert_equals_by_hand(step_options: dict, **hand_options) -> None:
    network = linear()
    step = create(network, **step_options)
    losses = [run(step)[0] for _ in RATES]
    weight, bias, expected_losses, _ = by_hand(**hand_options)
    for actual, expected in ((network.weight, weight), (network.bias, bias), (ms.Tensor(losses), expected_losses)):
        np.testing.assert_allclose(actual.asnumpy(), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("loss_scale", [1, 1024])
@pytest.mark.parametrize("decay_bias", [False, True])
def test_loss_and_update_equal_those_by_hand_whatever_the_loss_scale(loss_scale, decay_bias):
    assert_equals_by_hand({"loss_scale": loss_scale, "decay_norm_and_bias": decay_bias}, decay_bias=decay_bias)


def test_nesterov_momentum_equals_that_by_hand():
    assert_equals_by_hand({"nesterov": True}, nesterov=True)


@pytest.mark.parametrize("blocked", [False, True])
def test_gradients_are_clipped_by_their_common_norm_after_the_scale_is_divided_out(blocked):
    if blocked and (reason := obstacle(build_config())):
        pytest.skip(reason)
    norms = by_hand()[3]
    limit = float(np.mean(norms))
    assert min(norms) < limit < max(norms)  # some are clipped and some are not
    assert_equals_by_hand({"clip_norm": limit, "loss_scale": 512, "blocked": blocked}, clip_norm=limit)


def test_soft_labels_weigh_the_classes():
    hard, soft = linear(), linear()
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    assert run(create(hard))[0] == pytest.approx(run(create(soft), labels=one_hot)[0], rel=1e-6)
    mixed = 0.5 * one_hot + 0.5 * one_hot[::-1]
    halves = [run(create(linear()), labels=np.eye(3, dtype=np.float32)[labels])[0] for labels in (LABELS, LABELS[::-1])]
    assert run(create(linear()), labels=mixed)[0] == pytest.approx(np.mean(halves), rel=1e-6)


@pytest.mark.parametrize("scale_window", [0, 5])
def test_accumulated_batches_equal_one_large_batch(scale_window):
    whole, parts = linear(), linear()
    large, small = create(whole, scale_window=scale_window), create(parts, scale_window=scale_window, accumulate_steps=3)
    for _ in range(3):
        run(large)
        before = values_of(parts)
        for start in (0, 2):
            run(small, IMAGES[start : start + 2], LABELS[start : start + 2])
            assert all((values_of(parts)[name] == before[name]).all() for name in before)
        run(small, IMAGES[4:], LABELS[4:])
    for one, other in zip(whole.get_parameters(), parts.get_parameters()):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=0, atol=1e-6)


def test_averages_of_weights_and_running_statistics_follow_their_formula():
    network = Normalized()
    average = MovingAverage(network, 0.25)
    step = create(network, average=average)
    expected = values_of(network)
    for update in range(1, 4):
        run(step)
        decay = min(0.25, (1 + update) / (10 + update))
        new = values_of(network)
        expected = {name: decay * old + (1 - decay) * new[name] for name, old in expected.items()}
    assert set(average.weights()) == set(expected) and any("moving" in name for name in expected)
    for name, value in average.weights().items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6, err_msg=name)


def test_sums_and_averages_in_one_pass_have_the_same_bits():
    if reason := obstacle(build_config()):
        pytest.skip(reason)
    found = []
    for blocked in (False, True):
        network = Normalized()
        average = MovingAverage(network, 0.25, blocked)
        step = create(network, average=average, accumulate_steps=3, blocked=blocked)
        for start in (0, 2, 4, 0, 2, 4):
            run(step, IMAGES[start : start + 2], LABELS[start : start + 2])
        found.append({name: value for name, value in values_of(step).items() if not name.startswith(GRADIENT_MEANS)})
    for name, value in found[0].items():
        assert value.tobytes() == found[1][name].tobytes(), name


def test_an_overflow_skips_the_step_halves_the_scale_and_leaves_everything_else():
    network = Normalized()
    average = MovingAverage(network, 0.9)
    step = create(network, np.linspace(0.1, 0.01, 12), average=average, loss_scale=2.0**10, scale_window=2)
    assert run(step)[1:] == (True, 2.0**10)
    before = values_of(step)
    huge = np.where(np.arange(6)[:, None] == 0, np.float32(3e38), IMAGES)  # its square, and so the variance, is Inf
    assert run(step, huge)[1:] == (False, 2.0**10)
    after = values_of(step)
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == {"loss_scale", "good_updates", "global_step"}
    assert after["loss_scale"] == 2.0**9 and after["good_updates"] == 0 and after["global_step"] == 2
    # two good steps double the scale again, and the schedule has gone on
    assert [run(step)[1:] for _ in range(3)] == [(True, 2.0**9), (True, 2.0**9), (True, 2.0**10)]
    assert values_of(step)["global_step"] == 5
    assert np.isfinite(list(values_of(network).values())[0]).all()


def test_a_dynamic_scale_without_overflow_trains_as_a_fixed_one():
    fixed, dynamic = Normalized(), Normalized()
    steps = create(fixed, loss_scale=1), create(dynamic, loss_scale=2.0**12, scale_window=1)
    for _ in range(3):
        for step in steps:
            run(step)
    for one, other in zip(fixed.get_parameters(), dynamic.get_parameters()):
        np.testing.assert_allclose(one.asnumpy(), other.asnumpy(), rtol=1e-5, atol=1e-6)
