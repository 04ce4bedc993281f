"""Runs a classifier over a data set."""

import time
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ..data.index import ImageIndex
from ..data.pipeline import eval_pipeline, read_batches
from ..data.scan import naming_bad_images
from ..distributed.communication import all_gather, all_reduce_sum, together
from ..distributed.group import ALONE, Group
from ..errors import printable
from ..formats.classifier import Classifier, fill_up
from ..model_info import Preprocessing
from ..networks.imagenet import full_name
from ..progress import bar, beat
from .answered import Answered
from .metrics import Counts, class_results, macro_averages, widened

MOST_CLASSES_SHOWN = 10


def evaluate(
    classify: Classifier,
    index: ImageIndex,
    preprocessing: Preprocessing,
    batch_size: int,
    workers: int,
    group: Group = ALONE,
    as_bytes: bool = False,
    answered: Optional[Answered] = None,
) -> dict[str, Any]:
    """Classifies every image exactly once; several processes share the images and add up their counts.

    Args:
        batch_size: images per batch and process.
        as_bytes: whether `classify` takes images before their normalization, uint8 (N, 3, H, W).
        answered: gets the answers of this process.

    Returns:
        `images`, `top1_correct`, `top5_correct` of all processes, `top1`, `top5` (shares), `img_per_s` of all (all included,
        first batch excluded where there is more than one, because compiling happens there), `own_counts`: top-1, top-5
        and images of this process alone, what `macro_averages` gives, and `classes`, what `class_results` gives.

    Raises:
        UserError: on every process, where one met logits that are not finite or a damaged image.
        RuntimeError: the pipeline delivered another number of images than the index has.
    """
    part = index.shard(group)
    counts = Counts()
    started, warm = time.perf_counter(), 0
    with together(group):
        for logits, labels in classified_batches(classify, part, preprocessing, batch_size, workers, as_bytes):
            counts.add(logits, labels)
            if answered is not None:
                answered.add(logits, labels)
            beat()
            if counts.images == len(labels) < len(part):
                started, warm = time.perf_counter(), counts.images
    speed = (counts.images - warm) / (time.perf_counter() - started)
    result = _together(counts, speed, index, group)
    if result["images"] != len(index):
        raise RuntimeError(f"{result['images']} images were evaluated, but there are {len(index)}")
    return result


def _together(counts: Counts, speed: float, index: ImageIndex, group: Group) -> dict[str, Any]:
    """What `evaluate` returns, from the counts and images per second of every process."""
    own = np.array([counts.top1, counts.top5, counts.images], np.int64)
    top1, top5, images = (int(count) for count in all_reduce_sum(own, group))
    (of_all,) = all_reduce_sum(np.array([speed]), group)
    number = int(all_gather(np.array([counts.by_class.shape[1]]), group).max())  # 0 where a process had no image
    by_class = all_reduce_sum(widened(counts.by_class, number), group)
    return {
        "images": images,
        "top1_correct": top1,
        "top5_correct": top5,
        "top1": top1 / images,
        "top5": top5 / images,
        "img_per_s": round(float(of_all), 2),
        "own_counts": own.tolist(),
        **macro_averages(by_class),
        "classes": class_results(by_class, index.class_names),
    }


def classified_batches(
    classify: Classifier,
    index: ImageIndex,
    preprocessing: Preprocessing,
    batch_size: int,
    workers: int,
    as_bytes: bool = False,
) -> Iterator[tuple[NDArray[Any], NDArray[np.int32]]]:
    """Yields (logits, labels) of every batch, in the order of the index; arguments as for `evaluate`."""
    if not len(index):  # there are fewer images than processes
        return
    batch_size = min(batch_size, len(index))
    progress = bar(total=len(index), unit="img", leave=False)
    with progress, naming_bad_images(index):
        for images, labels in read_batches(eval_pipeline(index, preprocessing, batch_size, workers, as_bytes)):
            # The last batch is filled up, because another shape would be compiled anew, and its surplus cut off again.
            yield classify(fill_up(images, batch_size))[: len(labels)], labels
            progress.update(len(labels))


def report_lines(result: dict[str, Any]) -> list[str]:
    """The lines that users' tools look for."""
    images = result["images"]
    counts = [[result["top1_correct"]], [result["top5_correct"]], [images]]
    lines = [
        f"Inference Performance: {result['img_per_s']:.2f} img/sec",
        f"before results={[[count] for count in result['own_counts']]}",  # of this process
        f"after results={counts}",  # of all
    ]
    for k in (1, 5):
        correct = result[f"top{k}_correct"]
        lines.append(f"after allreduce eval: top{k}_correct={correct}, tot={images}, acc={correct / images:.2%}(TOP{k})")
    lines += [f"acc={result[f'top{k}']:.2%}(TOP{k})" for k in (1, 5)]
    return lines + _class_lines(result)


def _class_lines(result: dict[str, Any]) -> list[str]:
    """The means over the classes, and the classes that are found least often."""
    classes = sorted(result["classes"], key=lambda row: row["top1_correct"] / row["images"])
    shown = classes[:MOST_CLASSES_SHOWN]
    means = ", ".join(f"{name} {result[f'macro_{name}']:.2%}" for name in ("recall", "precision", "f1"))
    lines = [f"mean over {len(classes)} classes: {means}"]
    for row in shown:
        name = printable(full_name(row["class"]))
        lines.append(f"  {name}: {row['top1_correct'] / row['images']:.2%} of {row['images']}")
    if len(shown) < len(classes):
        lines.append(f"  and {len(classes) - len(shown)} classes above; --result_json FILE has them all")
    return lines
