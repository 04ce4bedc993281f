"""Mixed precision: which cells compute in 16 bits. Weights, momentum, averages and the loss are always float32."""

import mindspore as ms
from mindspore import nn

from ..errors import UserError
from ..models.blocked import compute_in_bfloat16, is_blocked

DTYPES = {"float16": ms.float16, "bfloat16": ms.bfloat16}


def mixed_precision(network: nn.Cell, level: str, dtype: str, platform: str) -> nn.Cell:
    """Makes a network compute in lower precision; its parameters stay float32 and keep their names.

    Args:
        network: changed in place.
        level: O0: float32 throughout. O1: convolutions and linear layers in 16 bits, each result back in float32.
            O2: all but batch norm in 16 bits. O3: batch norm too. auto: MindSpore's lists, operator by operator.
            At every level global pooling and the softmax over splits sum in float32.
        dtype: "float16" or "bfloat16".
        platform: "Ascend", "GPU" or "CPU".

    Returns:
        The network to train: images float32 (N, 3, H, W) -> logits (N, classes), float32 from O1 to O3.

    Raises:
        UserError: the platform has no such type.

    Reference: Micikevicius et al. 2017, arXiv 1710.03740; the levels are those of MindSpore and of NVIDIA Apex.
    """
    if level == "O0":
        return network
    if dtype == "bfloat16" and platform == "CPU":
        if level == "O2" and is_blocked(network):
            return compute_in_bfloat16(network)
        raise UserError(
            "amp_dtype: MindSpore's CPU has no bfloat16 kernels, and this package's need --amp_level O2 and to be built "
            "(python -m src.cpu); pass --amp_dtype float16, or --amp_level O0"
        )
    if level == "O1":
        names = [(parameter, parameter.name) for parameter in network.get_parameters()]
        _wrap_products(network, DTYPES[dtype])
        for parameter, name in names:
            parameter.name = name
        return network
    return ms.amp.auto_mixed_precision(network, level, DTYPES[dtype])


class _Product(nn.Cell):
    """A convolution or linear layer in 16 bits between float32 neighbors."""

    def __init__(self, layer: nn.Cell, dtype):
        super().__init__(auto_prefix=False)
        self.layer = layer.to_float(dtype)

    def construct(self, x):
        return self.layer(x).astype(ms.float32)


def _wrap_products(cell: nn.Cell, dtype) -> None:
    """MindSpore's own O1 does the same by writing changed source files into the working directory."""
    for name, child in list(cell.name_cells().items()):
        if isinstance(child, (nn.Conv2d, nn.Dense)):
            product = _Product(child, dtype)
            if isinstance(cell, nn.SequentialCell):
                cell[list(cell.name_cells()).index(name)] = product
            else:
                setattr(cell, name, product)
        else:
            _wrap_products(child, dtype)
