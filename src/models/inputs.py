"""From images as bytes to what a network takes, on the device."""

import mindspore as ms
from mindspore import nn, ops

PerChannel = tuple[float, ...]


class Normalize(nn.Cell):
    """Images as MindSpore's Normalize makes them on the host, on the CPU bit for bit.

    Inputs: RGB images uint8 (N, 3, H, W).
    Outputs: float32 (N, 3, H, W).

    Args:
        mean, std: per channel, of pixels scaled to 0..1.
    """

    def __init__(self, mean: PerChannel, std: PerChannel):
        super().__init__()
        self.mean = ms.Tensor([[[255 * m]] for m in mean], ms.float32)  # (3, 1, 1)
        self.std = ms.Tensor([[[255 * s]] for s in std], ms.float32)

    def construct(self, images):
        return (ops.cast(images, ms.float32) - self.mean) / self.std


class OnBytes(nn.Cell):
    """A network with the normalization of its images before it; its parameters keep their names.

    Inputs: RGB images uint8 (N, 3, H, W).
    Outputs: the network's.
    """

    def __init__(self, network: nn.Cell, mean: PerChannel, std: PerChannel):
        super().__init__(auto_prefix=False)
        self.normalize = Normalize(mean, std)
        self.network = network

    def construct(self, images):
        return self.network(self.normalize(images))
