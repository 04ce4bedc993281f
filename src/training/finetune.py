"""Starting from another run's weights: a classifier of another size, parts that stay as they are."""

from dataclasses import replace

import mindspore as ms
from mindspore import nn

from .. import checkpoint
from ..checkpoint import Checkpoint
from ..errors import UserError
from ..log import log
from ..weights.channels import first_convolution, fit_channels

_PARTS = ("stem", "layer1", "layer2", "layer3", "layer4")


def start_from(network: nn.Cell, saved: Checkpoint) -> None:
    """Loads a checkpoint; where it has another number of classes the network keeps its own, fresh classifier, and says so.

    Where it has another number of input channels, its first convolution is made to fit, as `fit_channels` does.

    Raises:
        UserError: the checkpoint is one of another network.
    """
    own = {parameter.name: parameter for parameter in network.get_parameters()}
    theirs = saved.weights.get("fc.weight")
    weight = own["fc.weight"]
    if theirs is not None and theirs.shape[1:] == weight.shape[1:] and theirs.shape[0] != weight.shape[0]:
        log.info("%s: the classifier of %d classes is replaced by a new one of %d", saved.path, len(theirs), len(weight))
        saved = replace(saved, weights={**saved.weights, **{name: own[name] for name in ("fc.weight", "fc.bias")}})
    first = first_convolution(own)
    found = saved.weights.get(first)
    if found is not None and len(found.shape) == 4 and found.shape[1] != own[first].shape[1]:
        fitted = ms.Parameter(ms.Tensor(fit_channels(found.asnumpy(), own[first].shape[1])), name=first)
        saved = replace(saved, weights={**saved.weights, first: fitted})
    checkpoint.load_into(network, saved)


def freeze(network: nn.Cell, last: str) -> None:
    """Takes the network's parts up to `last` ("stem", "layer1" ... "layer4") out of training, running statistics included.

    Raises:
        UserError: the network has no such part.
    """
    cells = [("stem", cell) for cell in (network.conv1, network.bn1)]
    cells += [(part, getattr(network, part)) for part in _PARTS[1:] if hasattr(network, part)]
    if last not in dict(cells):
        raise UserError(f"freeze: this network has no {last}; it has {', '.join(dict(cells))}")
    frozen = [cell for part, cell in cells if _PARTS.index(part) <= _PARTS.index(last)]
    for cell in frozen:
        for parameter in cell.get_parameters():
            parameter.requires_grad = False
        for _, inner in cell.cells_and_names():
            if isinstance(inner, nn.BatchNorm2d):
                inner.use_batch_statistics = False
    count = sum(parameter.size for cell in frozen for parameter in cell.get_parameters())
    log.info("freeze: everything up to %s stays as it is, %s values", last, f"{count:,}")
