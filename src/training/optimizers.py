"""Optimizers: SGD with momentum, LARS and LAMB, with weight decay on the parameters that take it.

Of MindSpore's own, momentum is announced to go and ignores on the CPU that it should be Nesterov's (2.10), and LARS and LAMB
have no kernels there; ours are made of plain operators, but for the kernel of the usual momentum.
"""

from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from numpy.typing import NDArray

from ..config import Config

_EPSILON = 1e-6  # LAMB's, as timm has it


def create_optimizer(network: nn.Cell, rates: NDArray[np.float32], config: Config) -> nn.Optimizer:
    """The optimizer that `config.optimizer` names, over the network's trainable parameters.

    Args:
        rates: learning rate of each step, float32 (steps,).
    """
    kind = {"momentum": Momentum, "lars": Lars, "lamb": Lamb}[config.optimizer]
    return kind(network.trainable_params(), ms.Tensor(rates), config)


def takes_decay(parameter: ms.Parameter, config: Config) -> bool:
    """Whether weight decay applies: to all but the one-dimensional parameters, which are those of batch norms and biases."""
    return config.decay_norm_and_bias or parameter.ndim > 1


class Momentum(nn.Optimizer):
    """SGD with momentum: v = momentum * v + g; w = w - rate * v, or Nesterov's w = w - rate * (g + momentum * v).

    Reference: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", as PyTorch has it.
    """

    def __init__(self, parameters: list[Any], rates: ms.Tensor, config: Config):
        super().__init__(rates, parameters)
        self.momentum = config.momentum
        self.nesterov = config.nesterov
        self.decay = config.weight_decay
        self.decayed = tuple(takes_decay(p, config) for p in parameters)
        self.moments = self.parameters.clone(prefix="moments", init="zeros")
        self.step_of_weight = ops.ApplyMomentum()  # one kernel, which changes weight and velocity in place

    def construct(self, gradients):
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        for index in range(len(self.decayed)):
            weight, gradient = self.parameters[index], gradients[index]
            if self.decayed[index]:
                gradient = self.with_decay(weight, gradient)
            if not self.nesterov:
                self.step_of_weight(weight, self.moments[index], rate, gradient, self.momentum)
                continue
            velocity = self.momentum * self.moments[index] + gradient
            ops.assign(self.moments[index], velocity)
            ops.assign(weight, weight - rate * (gradient + self.momentum * velocity))
        return True

    def with_decay(self, weight, gradient):
        """The gradient of the loss with its L2 term."""
        return gradient + self.decay * weight


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


class Lamb(nn.Optimizer):
    """Adam whose update is scaled, parameter by parameter, to the norm of the weight.

    Reference: You et al. 2019, arXiv 1904.00962, algorithm 2, with bias correction and betas 0.9, 0.999.
    Parameters without weight decay (batch norms, biases) keep Adam's update, as in timm.
    """

    betas = (0.9, 0.999)

    def __init__(self, parameters: list[Any], rates: ms.Tensor, config: Config):
        super().__init__(rates, parameters)
        self.decay = config.weight_decay
        self.decayed = tuple(takes_decay(p, config) for p in parameters)
        self.means = self.parameters.clone(prefix="means", init="zeros")
        self.squares = self.parameters.clone(prefix="squares", init="zeros")
        self.updates = ms.Parameter(ms.Tensor(0, ms.float32), name="updates", requires_grad=False)

    def construct(self, gradients):
        rate = self.get_lr()
        self.assignadd(self.global_step, self.global_step_increase_tensor)
        # Unlike global_step, which also counts the steps that an overflow skipped, this counts updates.
        self.updates += 1
        mean_share, square_share = 1 - ops.pow(self.betas[0], self.updates), 1 - ops.pow(self.betas[1], self.updates)
        for index in range(len(self.decayed)):
            weight, gradient = self.parameters[index], gradients[index]
            mean = self.betas[0] * self.means[index] + (1 - self.betas[0]) * gradient
            square = self.betas[1] * self.squares[index] + (1 - self.betas[1]) * ops.square(gradient)
            change = (mean / mean_share) / (ops.sqrt(square / square_share) + _EPSILON)
            if self.decayed[index]:
                change = change + self.decay * weight
                norm, size = _norm(weight), _norm(change)
                change = change * ops.select(norm * size > 0, norm / size, ops.ones_like(norm))
            ops.assign(self.means[index], mean)
            ops.assign(self.squares[index], square)
            ops.assign(weight, weight - rate * change)
        return True


def _norm(x):
    return ops.sqrt(ops.reduce_sum(ops.square(x)))
