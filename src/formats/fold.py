"""Rewrites a network for inference: the same function with fewer operations, all of which every format knows."""

import mindspore as ms
from mindspore import nn, ops

from ..models.folding import fold_pairs, folded
from ..models.resnet import name_parameters_like_torch


class PaddedMaxPool(nn.Cell):
    """3x3 max-pool of stride 2, padding 1, for inputs of 0 and more, where padding with zeros changes nothing.

    MindSpore's own padded pool cannot be written to ONNX; this form is slower to train.
    """

    def __init__(self):
        super().__init__()
        self.pad = ops.Pad(((0, 0), (0, 0), (1, 1), (1, 1)))
        self.pool = nn.MaxPool2d(kernel_size=3, stride=2)

    def construct(self, x):
        return self.pool(self.pad(x))


def prepare_for_inference(network: nn.Cell) -> nn.Cell:
    """Folds every batch norm into the convolution before it and replaces the stem's pool; changes `network` itself."""
    fold_pairs(network.set_train(False), lambda convolution, norm: (fold(convolution, norm), nn.Identity()))
    if getattr(network, "maxpool", None) is not None and network.maxpool.pad_mode.lower() == "pad":
        network.maxpool = PaddedMaxPool()
    name_parameters_like_torch(network)
    return network


def fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One (grouped) convolution with bias that equals the convolution and the batch norm (evaluation mode) after it."""
    parts = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    weight, bias = folded(convolution.weight.asnumpy(), tuple(part.asnumpy() for part in parts), norm.eps)
    return nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        kernel_size=convolution.kernel_size,
        stride=convolution.stride,
        pad_mode=convolution.pad_mode,
        padding=convolution.padding,
        group=convolution.group,
        has_bias=True,
        weight_init=ms.Tensor(weight),
        bias_init=ms.Tensor(bias),
    )
