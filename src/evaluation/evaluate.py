"""Runs a classifier over a data set."""

import sys
import time
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from src.data.index import ImageIndex
from src.data.pipeline import eval_pipeline, read_batches
from src.data.preprocessing import Preprocessing
from src.data.scan import naming_bad_images
from src.evaluation.metrics import Counts

Classifier = Callable[[np.ndarray], np.ndarray]  # images float32 (N, 3, H, W) -> logits float32 (N, classes)


def evaluate(classify: Classifier, index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int) -> dict:
    """Classifies every image exactly once.

    Returns:
        `images`, `top1_correct`, `top5_correct`, `top1`, `top5` (shares), `img_per_s` (all included, first batch excluded
        where there is more than one, because compiling happens there).

    Raises:
        RuntimeError: the pipeline delivered another number of images than the index has.
    """
    counts = Counts()
    started, warm = time.perf_counter(), 0
    for logits, labels in classified_batches(classify, index, preprocessing, batch_size, workers):
        counts.add(logits, labels)
        if counts.images == len(labels) < len(index):
            started, warm = time.perf_counter(), counts.images
    seconds = time.perf_counter() - started
    if counts.images != len(index):
        raise RuntimeError(f"{counts.images} images were evaluated, but there are {len(index)}")
    return {
        "images": counts.images,
        "top1_correct": counts.top1,
        "top5_correct": counts.top5,
        "top1": counts.top1 / counts.images,
        "top5": counts.top5 / counts.images,
        "img_per_s": round((counts.images - warm) / seconds, 2),
    }


def classified_batches(classify, index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int):
    """Yields (logits, labels) of every batch, in the order of the index."""
    batch_size = min(batch_size, len(index))
    progress = tqdm(total=len(index), unit="img", leave=False, disable=not sys.stderr.isatty())
    with progress, naming_bad_images(index):
        for images, labels in read_batches(eval_pipeline(index, preprocessing, batch_size, workers)):
            # The last batch is filled up, because another shape would be compiled anew, and its surplus cut off again.
            filled = np.concatenate([images, np.repeat(images[-1:], batch_size - len(images), axis=0)])
            yield classify(filled)[: len(labels)], labels
            progress.update(len(labels))


def report_lines(result: dict) -> list:
    """The lines that users' tools look for."""
    images = result["images"]
    lines = [f"Inference Performance: {result['img_per_s']:.2f} img/sec"]
    for k in (1, 5):
        correct = result[f"top{k}_correct"]
        lines.append(f"after allreduce eval: top{k}_correct={correct}, tot={images}, acc={correct / images:.2%}(TOP{k})")
    return lines + [f"acc={result[f'top{k}']:.2%}(TOP{k})" for k in (1, 5)]
