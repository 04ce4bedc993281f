"""What is compared: files of networks, and folders of results that another program wrote, each as batches of logits."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.index import ImageIndex
from ..device import worker_count
from ..errors import UserError, first_of
from ..evaluation.evaluate import classified_batches
from ..evaluation.model_files import labels_for
from ..formats.classifier import LoadedClassifier
from ..formats.opening import load_classifier
from ..offline.result_names import result_names
from ..offline.results import open_results, read_logits, usual_length

Logits = Callable[[ImageIndex], Iterator[NDArray[Any]]]


@dataclass(frozen=True)
class Side:
    """One of the things compared.

    Attributes:
        path: a file, or a folder of results.
        num_classes: number of logits.
        classifier: the opened file; None for results.
        logits: gives the logits of an index's images, float32 (N, num_classes) a batch, in the index's order; batches have
            `eval_batch_size` images but the last.
    """

    path: Path
    num_classes: int
    classifier: Optional[LoadedClassifier]
    logits: Logits


def open_side(path: Path, config: Config) -> Side:
    """Opens a file as eval.py does, or a folder of result files (<image>_0.bin, .txt) as postprocess.py does.

    Raises:
        UserError: it cannot be used.
    """
    if path.is_dir():
        return _results(path, config)
    classifier = load_classifier(path, config)
    size, workers = config.eval_batch_size, worker_count(config.num_parallel_workers)

    def logits(index: ImageIndex) -> Iterator[NDArray[Any]]:
        batches = classified_batches(
            classifier.classify, index, classifier.preprocessing, size, workers, classifier.takes_bytes
        )
        for batch, _ in batches:
            yield batch

    return Side(path, classifier.num_classes, classifier, logits)


def with_common_labels(sides: list[Side], index: ImageIndex) -> ImageIndex:
    """The images with the class numbers of all sides. Raises UserError where sides have other classes than the first."""
    first = next((side for side in sides if side.classifier and side.classifier.class_names), sides[0])
    for side in sides:
        if side.num_classes != first.num_classes:
            raise UserError(
                f"compare: {first.path} has {first.num_classes} classes, {side.path} {side.num_classes}: not one network"
            )
        names = side.classifier.class_names if side.classifier else ()
        if first.classifier and names and names != first.classifier.class_names:
            raise UserError(f"compare: the classes of {first.path} and {side.path} have other names or another order")
    return labels_for(first.classifier, index) if first.classifier else index


def _results(folder: Path, config: Config) -> Side:
    results = open_results(folder)
    count = usual_length(results)

    def logits(index: ImageIndex) -> Iterator[NDArray[Any]]:
        names = result_names(index.files)
        missing = [name for name in names if name not in results.files]
        if missing:
            raise UserError(f"compare: {folder} has no result of {len(missing)} images ({first_of(missing)})")
        for start in range(0, len(names), config.eval_batch_size):
            paths = [folder / results.files[name] for name in names[start : start + config.eval_batch_size]]
            yield np.stack([_row(path, count) for path in paths])

    return Side(folder, count, None, logits)


def _row(path: Path, count: int) -> NDArray[np.float32]:
    try:
        return read_logits(path, count)
    except ValueError as error:
        raise UserError(f"{path}: {error}; write it again") from None


def different_preprocessing(sides: list[Side]) -> list[Path]:
    """Files whose images go through something else than those of most others; their answers differ for that reason too."""
    found = {side.path: side.classifier.preprocessing for side in sides if side.classifier}
    usual = Counter(map(str, found.values())).most_common(1)
    return [path for path, preprocessing in found.items() if str(preprocessing) != usual[0][0]]
