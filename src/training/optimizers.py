"""Optimizers: SGD with momentum, LARS, AdamW and LAMB, with weight decay on the parameters that take it.

Of MindSpore's own, momentum is announced to go and ignores on the CPU that it should be Nesterov's (2.10), and LARS and LAMB
have no kernels there; ours are made of plain operators, but for the kernel of the usual momentum.
"""

import re
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from numpy.typing import NDArray

from ..config import Config
from ..cpu import operators


def create_optimizer(network: nn.Cell, rates: NDArray[np.float32], config: Config) -> nn.Optimizer:
    """The optimizer that `config.optimizer` names, over the network's trainable parameters.

    Args:
        rates: learning rate of each step, float32 (steps,).
    """
    kinds = {"momentum": Momentum, "lars": Lars, "adamw": AdamW, "lamb": Lamb}
    if config.cpu_kernels == "blocked":
        kinds |= {"momentum": BlockedMomentum, "adamw": BlockedAdamW}
    shares = rate_shares([parameter.name for parameter in network.get_parameters()], config.layer_decay)
    parameters = network.trainable_params()
    own_shares = tuple(shares[parameter.name] for parameter in parameters)
    return kinds[config.optimizer](parameters, ms.Tensor(rates), config, own_shares)


def takes_decay(parameter: ms.Parameter, config: Config) -> bool:
    """Whether weight decay applies: to all but the one-dimensional parameters, which are those of batch norms and biases."""
    return config.decay_norm_and_bias or parameter.ndim > 1


def rate_shares(names: list[str], layer_decay: float) -> dict[str, float]:
    """Each parameter's share of the learning rate: 1 in the classifier, in a layer that of the next one times the decay.

    Layers are the stem, every residual block and the classifier, as in timm's `param_groups_layer_decay`.

    Reference: Bao et al. 2021, arXiv 2106.08254, appendix (BEiT's fine-tuning); Clark et al. 2020, arXiv 2003.10555.

    Args:
        names: of all parameters of a network, those that are not trained too.
        layer_decay: 0 to 1.
    """
    layers = {name: _layer_of(name) for name in names}
    places = {layer: place for place, layer in enumerate(sorted(set(layers.values()), reverse=True))}
    return {name: layer_decay ** places[layer] for name, layer in layers.items()}


def _layer_of(name: str) -> tuple[float, int]:
    """Stage and block: the stem is stage 0, what comes after the blocks is behind all stages."""
    if block := re.match(r"layer(\d+)\.(\d+)\.", name):
        return int(block[1]), int(block[2])
    return (0, 0) if name.startswith(("conv1.", "bn1.")) else (float("inf"), 0)


class EachParameter(nn.Optimizer):
    """Changes every parameter for itself, as its subclasses say.

    The parameters are mapped over: compiling a loop takes longer, for a deep network, than compiling all of the rest.
    """

    def __init__(self, parameters: list[Any], rates: ms.Tensor, config: Config, shares: tuple[float, ...]):
        super().__init__(rates, parameters)
        self.shares = shares  # of the rate, by parameter
        self.decay = config.weight_decay
        self.decayed = tuple(takes_decay(p, config) for p in parameters)
        self.map = ops.HyperMap()

    def rate_of_step(self):
        """The step's learning rate; counts the step."""
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        return rate

    def own_rate(self, rate, share):
        """A parameter's rate."""
        return rate if share == 1 else rate * share


class Momentum(EachParameter):
    """SGD with momentum: v = momentum * v + g; w = w - rate * v, or Nesterov's w = w - rate * (g + momentum * v).

    Reference: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", as PyTorch has it.
    """

    def __init__(self, parameters: list[Any], rates: ms.Tensor, config: Config, shares: tuple[float, ...]):
        super().__init__(parameters, rates, config, shares)
        self.momentum = config.momentum
        self.nesterov = config.nesterov
        self.moments = self.parameters.clone(prefix="moments", init="zeros")
        self.step_of_weight = ops.ApplyMomentum()  # one kernel, which changes weight and velocity in place

    def construct(self, gradients):
        change = ops.partial(self.change, self.rate_of_step())
        self.map(change, self.shares, self.decayed, self.parameters, self.moments, gradients)
        return True

    def change(self, rate, share, decays, weight, velocity, gradient):
        """Changes a weight and its velocity."""
        rate = self.own_rate(rate, share)
        if decays:
            gradient = self.with_decay(weight, gradient)
        if not self.nesterov:
            return self.step_of_weight(weight, velocity, rate, gradient, self.momentum)
        faster = self.momentum * velocity + gradient
        ops.assign(velocity, faster)
        return ops.assign(weight, weight - rate * (gradient + self.momentum * faster))

    def with_decay(self, weight, gradient):
        """The gradient of the loss with its L2 term."""
        return gradient + self.decay * weight


class BlockedMomentum(Momentum):
    """The same, to the bit, by an operator of the CPU kernels that does it in one pass over memory."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.settings = tuple(
            ms.Tensor(np.array([self.momentum, self.decay * decayed, self.nesterov, share], np.float32))
            for decayed, share in zip(self.decayed, self.shares)
        )
        self.step_in_place = operators.momentum()

    def construct(self, gradients):
        change = ops.partial(self.change_in_place, self.rate_of_step())
        self.map(change, self.settings, self.parameters, self.moments, gradients)
        return True

    def change_in_place(self, rate, settings, weight, velocity, gradient):
        """Changes a weight and its velocity."""
        return self.step_in_place(settings, rate, weight, velocity, gradient)


class Lars(Momentum):
    """Momentum whose gradient is scaled, parameter by parameter, to the ratio of the norms of weight and gradient.

    Reference: You, Gitman, Ginsburg 2017, arXiv 1708.03888, algorithm 1, with the trust coefficient 0.001 of its section 4.
    Parameters without weight decay (batch norms, biases) keep their gradient, as in timm.
    """

    trust_coefficient = 0.001

    def with_decay(self, weight, gradient):
        """The gradient with its L2 term, scaled."""
        norm, slope = _norm(weight), _norm(gradient)
        trust = self.trust_coefficient * norm / (slope + self.decay * norm + 1e-8)
        return (gradient + self.decay * weight) * ops.select(norm * slope > 0, trust, ops.ones_like(trust))


class AdamW(EachParameter):
    """Adam with weight decay beside it instead of within the gradient: w = w - rate * (m / (sqrt(v) + epsilon) + decay * w).

    Reference: Loshchilov and Hutter 2017, arXiv 1711.05101, algorithm 2, with bias correction, betas 0.9, 0.999 and the
    epsilon of PyTorch; the decay is multiplied by the rate, as there.
    """

    betas = (0.9, 0.999)
    epsilon = 1e-8

    def __init__(self, parameters: list[Any], rates: ms.Tensor, config: Config, shares: tuple[float, ...]):
        super().__init__(parameters, rates, config, shares)
        self.means = self.parameters.clone(prefix="means", init="zeros")
        self.squares = self.parameters.clone(prefix="squares", init="zeros")
        self.updates = ms.Parameter(ms.Tensor(0, ms.float32), name="updates", requires_grad=False)

    def construct(self, gradients):
        rate = self.rate_of_step()
        # Unlike global_step, which also counts the steps that an overflow skipped, this counts updates.
        self.updates += 1
        mean_share, square_share = 1 - ops.pow(self.betas[0], self.updates), 1 - ops.pow(self.betas[1], self.updates)
        self.change_all(rate, mean_share, square_share, gradients)
        return True

    def change_all(self, rate, mean_share, square_share, gradients):
        """Changes all weights and their means."""
        change = ops.partial(self.change, rate, mean_share, square_share)
        self.map(change, self.shares, self.decayed, self.parameters, self.means, self.squares, gradients)

    def change(self, rate, mean_share, square_share, share, decays, weight, old_mean, old_square, gradient):
        """Changes a weight and its two means."""
        mean = self.betas[0] * old_mean + (1 - self.betas[0]) * gradient
        square = self.betas[1] * old_square + (1 - self.betas[1]) * ops.square(gradient)
        change = (mean / mean_share) / (ops.sqrt(square / square_share) + self.epsilon)
        if decays:
            change = self.with_decay(weight, change)
        ops.assign(old_mean, mean)
        ops.assign(old_square, square)
        return ops.assign(weight, weight - self.own_rate(rate, share) * change)

    def with_decay(self, weight, change):
        """The change of the weight with what weight decay adds."""
        return change + self.decay * weight


class BlockedAdamW(AdamW):
    """The same, to the bit, by an operator of the CPU kernels that does it in one pass over memory."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        betas = [number for beta in map(np.float32, self.betas) for number in (beta, np.float32(1) - beta)]  # as in a graph
        self.settings = tuple(
            ms.Tensor(np.array([*betas, self.epsilon, self.decay * decayed, share], np.float32))
            for decayed, share in zip(self.decayed, self.shares)
        )
        self.step_in_place = operators.adamw()

    def change_all(self, rate, mean_share, square_share, gradients):
        """Changes all weights and their means."""
        change = ops.partial(self.change_in_place, rate, mean_share, square_share)
        self.map(change, self.settings, self.parameters, self.means, self.squares, gradients)

    def change_in_place(self, rate, mean_share, square_share, settings, weight, mean, square, gradient):
        """Changes a weight and its two means."""
        return self.step_in_place(settings, rate, mean_share, square_share, weight, mean, square, gradient)


class Lamb(AdamW):
    """Adam whose update, weight decay included, is scaled, parameter by parameter, to the norm of the weight.

    Reference: You et al. 2019, arXiv 1904.00962, algorithm 2, with bias correction, betas 0.9, 0.999 and timm's epsilon.
    Parameters without weight decay (batch norms, biases) keep Adam's update, as in timm.
    """

    epsilon = 1e-6

    def with_decay(self, weight, change):
        """The change with weight decay, scaled."""
        change = change + self.decay * weight
        norm, size = _norm(weight), _norm(change)
        return change * ops.select(norm * size > 0, norm / size, ops.ones_like(norm))


def _norm(x):
    return ops.sqrt(ops.reduce_sum(ops.square(x)))
