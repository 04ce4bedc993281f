"""Published top-1 accuracies: of ImageNet's validation set, for the networks of 32 x 32 pixels of CIFAR-10's test set.

They are what others measured, each at the image size of its network, in one crop. timm's results are the table
results/results-imagenet.csv of its repository at aa4b585 (August 2026), by the tag of the weights. Needs no MindSpore.
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


# The best of what is published, at the image size of the network and without other images than ImageNet's 1.28 million.
_ACCURACIES = {
    **_from("torchvision, IMAGENET1K_V1", resnext101_64x4d="83.246"),
    **_from("torchvision, IMAGENET1K_V2", resnet50="80.858", resnext50_32x4d="81.198", resnext101_32x8d="82.834"),
    **_from("timm's results, tv2_in1k", wide_resnet50_2="81.612", wide_resnet101_2="82.514"),
    **_from("timm's results, a1_in1k", resnet18="71.504"),
    **_from("timm's results, a1h_in1k", resnet101="81.950", resnet152="82.818"),
    **_from("timm's results, ra4_e3600_r224_in1k", resnet34="77.492", resnet50d="80.956"),
    **_from("timm's results, ra2_in1k", seresnet50="80.260"),
    **_from("timm's results, racm_in1k", seresnext50_32x4d="81.268"),
    **_from(
        "timm's results, gluon_in1k",
        resnext101_32x4d="80.336",
        seresnext101_32x4d="80.886",
        resnest14d="75.516",
        resnest26d="78.476",
    ),
    **_from(
        "timm's results, in1k",
        resnest101e="82.916",
        resnest200e="83.880",
        resnest269e="84.542",
        resnest50d_4s2x40d="81.146",
        resnest50d_1s4x24d="81.024",
    ),
    **_from("MindCV's README", resnext152_64x4d="80.52"),
    **_from(
        "ResNeSt's authors, PyTorch",
        resnest50d="81.03",
        resnest50d_1s1x64d="80.33",
        resnest50d_2s1x64d="80.53",
        resnest50d_4s1x64d="80.76",
        resnest50d_1s2x40d="80.59",
        resnest50d_2s2x40d="80.61",
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
