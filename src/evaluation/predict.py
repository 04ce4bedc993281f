"""Classifies single images or a folder and prints the most likely classes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.read_ahead import Reading
from ..data.scan import find_problems
from ..data.sources.lists import index_unlabeled
from ..device import worker_count
from ..errors import printable
from ..formats.classifier import LoadedClassifier
from ..log import log
from ..networks.imagenet import full_name, words_of
from .evaluate import classified_batches
from .explain import explain


def predict(classifier: LoadedClassifier, config: Config) -> int:
    """Prints the `top_k` classes of every image below `config.predict`, as text or as JSON lines.

    Returns:
        Exit code: 0, or 3 when some files could not be read; those are named, the others are classified.
    """
    workers = worker_count(config.num_parallel_workers)
    index = replace(index_unlabeled(Path(config.predict)), reading=Reading.of(config))
    problems = find_problems(index, "full" if config.scan == "off" else config.scan, Path(config.cache_dir), workers)
    for position, problem in problems.items():
        log.warning("cannot be used: %s: %s", index.path(position), problem)
        if config.predict_json:
            print(json.dumps({"image": str(index.path(position)), "error": problem}))
    usable = index.without(set(problems))
    if config.explain and len(usable):
        explain(classifier, usable, Path(config.explain))
    position = 0
    if len(usable):
        batches = classified_batches(
            classifier.classify, usable, classifier.preprocessing, config.eval_batch_size, workers, classifier.takes_bytes
        )
        for logits, _ in batches:
            for row in logits:
                _print(usable.path(position), top_classes(row, classifier.class_names, config.top_k), config.predict_json)
                position += 1
    return 3 if problems else 0


def top_classes(logits: NDArray[np.float32], class_names: tuple[str, ...], k: int) -> list[tuple[str, int, float]]:
    """The `k` most likely classes as (name or number, number, probability), the likeliest first. logits: (classes,)."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max())
    probabilities = exponentials / exponentials.sum()
    order = np.argsort(-probabilities, kind="stable")[:k]
    return [(class_names[i] if class_names else str(i), int(i), float(probabilities[i])) for i in order]


def class_as_json(name: str, index: int, probability: float) -> dict[str, Any]:
    """A class that an image may show, as JSON says it; "words" where its name is a synset of ImageNet."""
    words = words_of(name)
    return {"class": name, **({"words": words} if words else {}), "index": index, "probability": round(probability, 6)}


def _print(image: Path, classes: list[tuple[str, int, float]], as_json: bool) -> None:
    if as_json:
        content = {"image": str(image), "predictions": [class_as_json(*found) for found in classes]}
        line = json.dumps(content, ensure_ascii=False)
        print(line if printable(line) == line else json.dumps(content))
        return
    print(printable(str(image)))
    for name, _, probability in classes:
        print(f"  {probability:8.2%}  {printable(full_name(name))}")
