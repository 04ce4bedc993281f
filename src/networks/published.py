"""Published top-1 accuracies: of ImageNet's validation set, for the networks of 32 x 32 pixels of CIFAR-10's test set.

They are what others measured with weights of their own, each at the image size of its network, in one crop. Needs no
MindSpore.
"""

from dataclasses import dataclass
from typing import Any, Optional


@dataclass(frozen=True)
class Accuracy:
    """A published accuracy.

    Attributes:
        top1: percent, with the digits that were published.
        source: who published it, in a few words.
    """

    top1: str
    source: str


def find_accuracy(name: str) -> Optional[Accuracy]:
    """What was published for a network of `list_models()`; None for one that was not."""
    return _ACCURACIES.get(name)


def _from(source: str, **figures: str) -> dict[str, Any]:
    return {name: Accuracy(top1, source) for name, top1 in figures.items()}


_ACCURACIES = {
    **_from(
        "torchvision, IMAGENET1K_V1",
        resnet18="69.758",
        resnet34="73.314",
        resnet50="76.130",
        resnet101="77.374",
        resnet152="78.312",
        resnext50_32x4d="77.618",
        resnext101_32x8d="79.312",
        wide_resnet50_2="78.468",
        wide_resnet101_2="78.848",
    ),
    # The only one of torchvision's first weights that was not trained by the recipe of 90 or 100 epochs.
    **_from("torchvision, IMAGENET1K_V1, newer recipe", resnext101_64x4d="83.246"),
    **_from("Xie et al. 2016, table 3", resnext101_32x4d="78.8"),
    **_from("MindSpore models repository, ResNeXt152", resnext152_64x4d="80.08"),
    **_from("SENet authors' README", seresnet50="77.63", seresnext50_32x4d="79.03", seresnext101_32x4d="80.19"),
    **_from("He et al. 2018, table 5", resnet50d="77.16"),
    **_from("timm, results for gluon_in1k", resnest14d="75.510", resnest26d="78.484"),
    **_from(
        "ResNeSt's authors, PyTorch",
        resnest50d="81.03",
        resnest101e="82.83",
        resnest200e="83.84",
        resnest269e="84.54",
        resnest50d_1s1x64d="80.33",
        resnest50d_2s1x64d="80.53",
        resnest50d_4s1x64d="80.76",
        resnest50d_1s2x40d="80.59",
        resnest50d_2s2x40d="80.61",
        resnest50d_4s2x40d="81.14",
        resnest50d_1s4x24d="80.99",
    ),
    **_from(
        "He et al. 2015, table 6",
        resnet20="91.25",
        resnet32="92.49",
        resnet44="92.83",
        resnet56="93.03",
        resnet110="93.57",  # the best of five runs; 93.39 is their mean
    ),
    **_from("Xie et al. 2016, table 7", resnext29_8x64d="96.35", resnext29_16x64d="96.42"),
}
