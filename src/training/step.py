"""One training step: forward, scaled loss, gradients, update."""

import mindspore as ms
from mindspore import nn, ops

from src.config import Config


class TrainStep(nn.Cell):
    """Computes the loss of a batch and updates the weights; returns the unscaled loss, float32 ().

    The loss is multiplied by a fixed `loss_scale` before the gradients are taken and the gradients are divided by it before
    the update, so that the scale changes what is representable and nothing else (Micikevicius et al. 2017,
    arXiv 1710.03740, section 3.2).

    Inputs: images float32 (N, 3, H, W), labels int32 (N,).
    """

    def __init__(self, network: nn.Cell, optimizer: nn.Optimizer, label_smoothing: float, loss_scale: float):
        super().__init__(auto_prefix=False)  # otherwise MindSpore renames the weights
        self.network = network
        self.optimizer = optimizer
        self.loss = nn.CrossEntropyLoss(label_smoothing=label_smoothing)
        self.scaler = ms.amp.StaticLossScaler(loss_scale)
        self.value_and_grad = ms.value_and_grad(self.scaled_loss, None, optimizer.parameters, has_aux=True)

    def scaled_loss(self, images, labels):
        """The loss times the scale, to be differentiated, and the loss itself."""
        loss = self.loss(self.network(images), labels)
        return self.scaler.scale(loss), loss

    def construct(self, images, labels):
        (_, loss), gradients = self.value_and_grad(images, labels)
        return ops.depend(loss, self.optimizer(self.scaler.unscale(gradients)))


def create_optimizer(network: nn.Cell, rates, config: Config) -> nn.Optimizer:
    """SGD with momentum, v = momentum * v + g, w = w - lr * v (Sutskever et al. 2013 as PyTorch and MindSpore define it).

    Args:
        rates: learning rate of each step, float32 (steps,).
    """
    parameters = network.trainable_params()
    # One-dimensional parameters are those of batch norms and biases.
    decayed = [p for p in parameters if config.decay_norm_and_bias or p.ndim > 1]
    kept = [p for p in parameters if not (config.decay_norm_and_bias or p.ndim > 1)]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}]
    if kept:
        groups.append({"params": kept, "weight_decay": 0.0})
    return nn.Momentum(
        [*groups, {"order_params": parameters}], learning_rate=ms.Tensor(rates), momentum=config.momentum, use_nesterov=False
    )
