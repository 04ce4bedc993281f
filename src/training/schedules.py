"""Learning rate as a pure function of the step."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config


def learning_rates(config: Config, steps_per_epoch: int, images_per_step: int) -> NDArray[np.float32]:
    """The rate of every step of the run, float32 (max_epoch * steps_per_epoch,).

    With `lr_batch_size` the rate grows in proportion to the images per step (Goyal et al. 2017, arXiv 1706.02677, 2.1).
    """
    scale = images_per_step / config.lr_batch_size if config.lr_batch_size else 1.0
    return (scale * _rates(config, steps_per_epoch)).astype(np.float32)


def _rates(config: Config, steps_per_epoch: int) -> NDArray[Any]:
    total = config.max_epoch * steps_per_epoch
    epochs = np.arange(total) / steps_per_epoch  # position of each step in epochs
    span = (config.lr, config.eta_min, config.warmup_epochs, config.schedule_epochs)
    if config.lr_scheduler == "cosine_annealing":
        rates = cosine_annealing(epochs, *span)
    elif config.lr_scheduler == "cosine_warm_restarts":
        rates = cosine_warm_restarts(epochs, *span, config.lr_cycle_mul)
    elif config.lr_scheduler == "polynomial":
        rates = polynomial(epochs, *span, config.lr_power)
    elif config.lr_scheduler == "step":
        rates = step(epochs, config.lr, config.lr_gamma, config.lr_epochs)
    else:
        rates = exponential(epochs, config.lr, config.lr_gamma, config.warmup_epochs)
    return warm_up(rates, config.lr, round(config.warmup_epochs * steps_per_epoch))


def cosine_annealing(epochs: NDArray[np.float64], lr: float, eta_min: float, start: Any, end: Any) -> NDArray[Any]:
    """Half a cosine from `lr` at epoch `start` to `eta_min` at epoch `end`, then constant.

    Reference: Loshchilov and Hutter 2016, arXiv 1608.03983, equation 5, without restarts.

    Args:
        start, end: numbers, or one for each of `epochs`.
    """
    return eta_min + (lr - eta_min) * (1 + np.cos(np.pi * _progress(epochs, start, end))) / 2


def cosine_warm_restarts(
    epochs: NDArray[np.float64], lr: float, eta_min: float, start: float, end: float, factor: float
) -> NDArray[Any]:
    """Cosines from `lr` to `eta_min` one after the other, each `factor` times as long as the last; the first ends at `end`.

    Reference: Loshchilov and Hutter 2016, arXiv 1608.03983, equation 5 and section 3 (T_0, T_mult).

    Args:
        start: of the first cosine, before `end`.
        factor: 1 or more.
    """
    starts = [start, end]
    while starts[-1] <= epochs[-1]:
        starts.append(starts[-1] + (end - start) * factor ** (len(starts) - 1))
    cycle = np.clip(np.searchsorted(starts, epochs, side="right") - 1, 0, len(starts) - 2)
    bounds = np.array(starts)
    return cosine_annealing(epochs, lr, eta_min, bounds[cycle], bounds[cycle + 1])


def polynomial(
    epochs: NDArray[np.float64], lr: float, eta_min: float, start: float, end: float, power: float
) -> NDArray[Any]:
    """What is left of the way from `start` to `end`, to the power of `power`, as a rate from `lr` to `eta_min`.

    Reference: You, Gitman, Ginsburg 2017, arXiv 1708.03888, section 5 (power 2); power 1 is a straight line.
    """
    return eta_min + (lr - eta_min) * (1 - _progress(epochs, start, end)) ** power


def _progress(epochs: NDArray[np.float64], start: Any, end: Any) -> NDArray[Any]:
    """The share of the way from `start` to `end`, 0 to 1; both are epochs, numbers or one for each of `epochs`."""
    return np.clip((epochs - start) / (end - start), 0, 1) if np.all(end > start) else np.ones_like(epochs)


def step(epochs: NDArray[np.float64], lr: float, gamma: float, milestones: tuple[int, ...]) -> NDArray[Any]:
    """`lr` times `gamma` for every one of the epochs `milestones` that has begun."""
    return lr * gamma ** np.searchsorted(np.array(milestones, float), epochs, side="right")


def exponential(epochs: NDArray[np.float64], lr: float, gamma: float, start: float) -> NDArray[Any]:
    """`lr` times `gamma` to the power of the epochs, in fractions, since epoch `start`."""
    return lr * gamma ** np.maximum(epochs - start, 0)


def warm_up(rates: NDArray[np.float32], lr: float, steps: int) -> NDArray[Any]:
    """Replaces the first `steps` rates by a straight line that reaches `lr` with the last of them.

    Reference: Goyal et al. 2017, arXiv 1706.02677, section 2.2, starting from `lr` / `steps` instead of a base rate.
    """
    rates = np.array(rates, float)
    steps = min(steps, len(rates))
    rates[:steps] = lr * np.arange(1, steps + 1) / max(steps, 1)
    return rates
