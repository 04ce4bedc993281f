"""The losses of training: softmax cross entropy over the classes, or one binary cross entropy per class.

Both may count classes by weight, and count what the network already knows for less (focal).

None takes MindSpore's Log, or its Pow of exponents that are not 1 or 2. On the CPU these compute numbers that fill a
register otherwise than those that are left over, and MindSpore tries out in the first steps of a process how many threads
share the numbers: a resumed run would not have the bits of one that was not interrupted.
"""

from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn, ops
from numpy.typing import NDArray

from ..config import Config
from ..errors import UserError

_EFFECTIVE_BETA = 0.999  # Cui et al. 2019, section 5: of 0.9 to 0.9999 the one in the middle


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


def log_softmax(logits):
    """Logarithms of the probabilities of `logits`, (N, classes); of ops.log_softmax the sixth digit is wrong on the CPU."""
    distances = logits - ops.stop_gradient(ops.amax(logits, 1, True))
    return distances - ops.log1p(ops.exp(distances).sum(1, keepdims=True) - 1)


class ClassificationLoss(nn.Cell):
    """The mean over images of either loss, times the weight of the image's class, with the focal factor.

    An image of mixed classes has the mean of their weights. Neither the parts of a batch on several ranks nor those that are
    accumulated make a difference, as they would if the sum of weights were divided out.

    References: Lin et al. 2017, arXiv 1708.02002, equation 4 (focal factor: (1 - p)^gamma on each term, p being the
    probability that the network gives to what the label says); Cui et al. 2019, arXiv 1901.05555, equation 10 (weights).

    Inputs: logits float32 (N, classes), labels int32 (N,) or class probabilities float32 (N, classes).
    Outputs: float32 ().

    Args:
        binary: each class by itself, as `BinaryCrossEntropy`, instead of softmax.
        label_smoothing, threshold: as there; the threshold is for binary.
        gamma: exponent of the focal factor; 0: none.
        weights: of each class, float32 (classes,); None: all 1.
    """

    def __init__(
        self, binary: bool, label_smoothing: float, threshold: float, gamma: float, weights: Optional[NDArray[np.float32]]
    ):
        super().__init__()
        self.binary = binary
        self.label_smoothing = label_smoothing
        self.threshold = threshold
        self.gamma = gamma
        self.weights = None if weights is None else ms.Tensor(weights[:, None])

    def construct(self, logits, labels):
        classes = logits.shape[1]
        shares = ops.one_hot(labels, classes, 1.0, 0.0) if labels.ndim == 1 else labels
        targets = shares * (1 - self.label_smoothing) + self.label_smoothing / classes
        if self.threshold > 0:
            targets = ops.cast(targets > self.threshold, ms.float32)
        losses = self.binary_losses(logits, targets) if self.binary else self.softmax_losses(logits, targets)
        if self.weights is not None:
            losses = losses * ops.matmul(shares, self.weights)[:, 0]
        return losses.mean()

    def softmax_losses(self, logits, targets):
        """(N,): the sum over classes of each image."""
        log_p = log_softmax(logits)
        return -(targets * log_p * self.focal(1 - ops.exp(log_p))).sum(1)

    def binary_losses(self, logits, targets):
        """(N,): the mean over classes of each image."""
        p = ops.sigmoid(logits)
        terms = ops.relu(logits) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
        return (terms * self.focal(p * (1 - targets) + (1 - p) * targets)).mean(1)

    def focal(self, error):
        """error^gamma of probabilities given to what is not so. Of 0 the slope would be infinite where gamma is below 1."""
        return ops.exp(-self.gamma * ops.log1p(1 / ops.maximum(error, 1e-7) - 1)) if self.gamma > 0 else 1.0


def class_weights(config: Config, labels: NDArray[np.int32]) -> Optional[NDArray[np.float32]]:
    """The weight of every class, float32 (classes,), or None; but for given ones their mean over the images is 1.

    References: "balanced" is scikit-learn's, images / (classes * images of the class); "effective" is proportional to
    (1 - beta) / (1 - beta^images of the class): Cui et al. 2019, arXiv 1901.05555, equation 10, where their sum is the
    number of classes instead.

    Args:
        labels: of all training images.

    Raises:
        UserError: another number of given weights than there are classes.
    """
    if config.class_weights == "none":
        return None
    counts = np.maximum(np.bincount(labels, minlength=config.num_classes), 1).astype(np.float64)
    name, _, beta = config.class_weights.partition(":")
    if name == "balanced":
        weights = 1 / counts
    elif name == "effective":
        weights = 1 / -np.expm1(counts * np.log(float(beta or _EFFECTIVE_BETA)))
    else:
        given = np.array(config.class_weights.split(","), np.float32)
        if len(given) != config.num_classes:
            raise UserError(
                f"class_weights: {len(given)} weights for {config.num_classes} classes; give one for each, or a rule"
            )
        return given
    return (weights / weights[labels].mean()).astype(np.float32)


def create_loss(config: Config, weights: Optional[NDArray[np.float32]] = None) -> nn.Cell:
    """The loss that `config` names.

    Args:
        weights: what `class_weights` gives.
    """
    label_smoothing = config.label_smooth_factor if config.label_smooth else 0.0
    binary = config.loss == "binary_cross_entropy"
    if binary and weights is None and not config.focal_gamma:
        return BinaryCrossEntropy(label_smoothing, config.loss_threshold)
    return ClassificationLoss(binary, label_smoothing, config.loss_threshold, config.focal_gamma, weights)
