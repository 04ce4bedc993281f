"""The losses of training: softmax cross entropy over the classes, or one binary cross entropy per class."""

import mindspore as ms
from mindspore import nn, ops

from ..config import Config


class BinaryCrossEntropy(nn.Cell):
    """Mean over images and classes of the binary cross entropy of each class by itself.

    Wightman et al. 2021, arXiv 2110.00476, section 3.1; the numbers are those of timm's `BinaryCrossEntropy` on the labels
    that its `Mixup` gives.

    Inputs: logits float32 (N, classes), labels int32 (N,) or class probabilities float32 (N, classes).
    Outputs: float32 ().

    Args:
        label_smoothing: share of the probability spread over all classes.
        threshold: probabilities above it become 1, the others 0; 0: they stay as they are.
    """

    def __init__(self, label_smoothing: float = 0.0, threshold: float = 0.0):
        super().__init__()
        self.label_smoothing = label_smoothing
        self.threshold = threshold
        self.entropy = nn.BCEWithLogitsLoss()

    def construct(self, logits, labels):
        classes = logits.shape[1]
        targets = ops.one_hot(labels, classes, 1.0, 0.0) if labels.ndim == 1 else labels
        targets = targets * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.threshold > 0:
            targets = ops.cast(targets > self.threshold, ms.float32)
        return self.entropy(logits, targets)


def create_loss(config: Config) -> nn.Cell:
    """The loss that `config` names."""
    label_smoothing = config.label_smooth_factor if config.label_smooth else 0.0
    if config.loss == "binary_cross_entropy":
        return BinaryCrossEntropy(label_smoothing, config.loss_threshold)
    return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
