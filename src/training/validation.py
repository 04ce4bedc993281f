"""Accuracy while training, of the weights in float32 as `eval.py` would find it."""

import functools
from collections.abc import Callable
from typing import Any, Optional

import mindspore as ms
import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.index import ImageIndex
from ..distributed.group import Group
from ..evaluation.answered import Answered, answers_of
from ..evaluation.evaluate import evaluate
from ..formats.classifier import network_classifier
from ..formats.opening import inside_of
from ..model_info import Preprocessing
from ..models.blocked import take_weights
from ..models.create import create_model, folded_copy
from ..report.answers import Answers


class Validation:
    """Evaluates weights on the validation images, with a network of its own: that of training may compute in 16 bits.

    Attributes:
        network: holds the weights evaluated last.
    """

    def __init__(
        self, config: Config, index: ImageIndex, preprocessing: Preprocessing, workers: int, group: Group, padding: str
    ):  # fmt: skip
        network = create_model(
            config.backbone, config.num_classes, config.group_conv, padding=padding, in_channels=config.in_channels
        )
        self.network = network.set_train(False)
        self.running = self.network
        if config.cpu_kernels == "blocked":
            self.running = folded_copy(self.network, config.backbone)
        self.classify = network_classifier(self.running, preprocessing)
        self.takes_bytes = config.device_normalization
        self.index = index
        self.preprocessing = preprocessing
        self.batch_size = config.eval_batch_size
        self.workers = workers
        self.group = group
        self.num_classes = config.num_classes
        self.is_asked_for_answers = config.report
        self._answered: Optional[tuple[NDArray[np.float64], dict[str, Any]]] = None

    def run(self, weights: dict[str, Any], between_batches: Callable[[], None]) -> dict[str, Any]:
        """The result of `evaluate`.

        Args:
            weights: parameter name -> array.
            between_batches: called before every batch; may raise to end the evaluation.
        """
        for parameter in self.network.get_parameters():
            parameter.set_data(ms.Tensor(np.array(weights[parameter.name])))
        if self.running is not self.network:
            take_weights(self.running, weights)

        def classify(images: NDArray[Any]) -> NDArray[Any]:
            between_batches()
            return self.classify(images)

        answered = Answered() if self.is_asked_for_answers else None
        result = evaluate(
            classify, self.index, self.preprocessing, self.batch_size, self.workers, self.group, self.takes_bytes, answered
        )
        if answered is not None:
            self._answered = answered.gathered(len(self.index), self.group), result
        return result

    def answers(self) -> Optional[Answers]:
        """To every image by the weights evaluated last; None where nothing was evaluated."""
        if self._answered is None:
            return None
        columns, result = self._answered
        about = {**result, "data_dir": str(self.index.root), "dataset": self.index.images.kind}
        inside = functools.partial(inside_of, self.running)
        return answers_of(columns, self.index, self.num_classes, self.preprocessing, inside, about)
