import numpy as np
import pytest

from src.config import build_config
from src.errors import UserError
from src.training.schedules import cosine_annealing, learning_rates

STEPS = 10  # per epoch


def rates(**values):
    return learning_rates(build_config({"lr": 0.4, "max_epoch": 10, "warmup_epochs": 2, **values}), STEPS, 256)


def test_cosine_warms_up_reaches_lr_and_ends_at_eta_min():
    values = rates(eta_min=0.01)
    assert values.dtype == np.float32 and len(values) == 100
    assert values[0] == pytest.approx(0.4 / 20)
    assert values[9] == pytest.approx(0.2)
    assert values[19] == values[20] == pytest.approx(0.4)  # the last step of the warm-up, the first of the cosine
    assert values[60] == pytest.approx((0.4 + 0.01) / 2)  # half-way
    assert 0.01 < values[-1] < 0.0105  # one step before the end
    assert (np.diff(values[20:]) < 0).all()


def test_cosine_stays_at_eta_min_after_t_max():
    values = rates(T_max=6, eta_min=0.05)
    assert values[60:] == pytest.approx(0.05)
    assert values[59] > 0.05


def test_cosine_by_its_equation():
    epochs = np.array([0, 0.5, 1, 2, 3])
    assert cosine_annealing(epochs, 1, 0, 0, 2) == pytest.approx([1, (1 + np.cos(np.pi / 4)) / 2, 0.5, 0, 0])


def test_step_falls_at_its_epochs():
    values = rates(lr_scheduler="step", lr_epochs="3,6", lr_gamma=0.1)
    for step, expected in ((20, 0.4), (29, 0.4), (30, 0.04), (59, 0.04), (60, 0.004), (99, 0.004)):
        assert values[step] == pytest.approx(expected)


def test_exponential_falls_by_gamma_every_epoch():
    values = rates(lr_scheduler="exponential", lr_gamma=0.5)
    assert values[20] == pytest.approx(0.4)
    assert values[30] == pytest.approx(0.2)
    assert values[99] == pytest.approx(0.4 * 0.5**7.9)


def test_warm_up_as_long_as_the_run_and_none_at_all():
    assert rates(warmup_epochs=10)[-1] == pytest.approx(0.4)
    assert rates(warmup_epochs=0)[0] == pytest.approx(0.4)
    assert rates(warmup_epochs=0.5)[4] == pytest.approx(0.4)


def test_restarts_begin_at_lr_again_and_grow_longer():
    values = rates(lr_scheduler="cosine_warm_restarts", T_max=4, lr_cycle_mul=2, eta_min=0.01)
    assert values[20] == values[40] == values[80] == pytest.approx(0.4)  # after the warm-up, 2 epochs, 4 epochs
    assert values[30] == values[60] == pytest.approx((0.4 + 0.01) / 2)
    assert values[39] < 0.02 and values[79] < 0.02


def test_restarts_need_room_for_the_first_cosine():
    with pytest.raises(UserError, match="T_max: 2 lies inside the warm-up"):
        rates(lr_scheduler="cosine_warm_restarts", T_max=2)


def test_polynomial_stays_at_eta_min_after_t_max():
    values = rates(lr_scheduler="polynomial", T_max=6, eta_min=0.05, lr_power=2)
    assert values[20] == pytest.approx(0.4)
    assert values[40] == pytest.approx(0.05 + 0.35 / 4)
    assert values[60:] == pytest.approx(0.05)


def test_eta_min_above_lr_is_refused_for_the_polynomial_too():
    with pytest.raises(UserError, match="eta_min: 0.5 is above"):
        rates(lr_scheduler="polynomial", eta_min=0.5)
