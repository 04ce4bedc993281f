"""The work of eval.py: one file or a folder of checkpoints over one data set."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..checkpoint import newest_first
from ..config import Config
from ..data.datasets import open_evaluation_data
from ..data.index import ImageIndex, check_label_range
from ..device import machine, worker_count
from ..distributed.communication import barrier, check_same_images, master_first, start, together
from ..distributed.group import ALONE, Group
from ..errors import UserError
from ..files import write_text
from ..formats.classifier import LoadedClassifier
from ..formats.opening import load_classifier
from ..log import log
from ..report.answers import Answers
from ..weights.by_name import local_path
from . import ending
from .answered import Answered, answers_of
from .embeddings import embed, write_embeddings
from .evaluate import evaluate, report_lines
from .neighbors import print_neighbors
from .predict import predict


def run(config: Config) -> int:
    """Classifies `config.predict`, embeds the data set or, without either, evaluates `config.pretrained`: the exit code."""
    if not config.pretrained:
        raise UserError("pretrained: no value; pass --pretrained FILE (.ckpt, .onnx, .mindir, ...) or a folder of .ckpt")
    if config.neighbors and not config.predict:
        raise UserError("neighbors: needs --predict IMAGE, whose neighbors are wanted")
    if config.neighbors:
        return print_neighbors(load_classifier(Path(config.pretrained), config), config)
    if config.embeddings:
        return _write_embeddings(config)
    if config.predict:
        return predict(load_classifier(Path(config.pretrained), config), config)
    return evaluate_file(config)


def _write_embeddings(config: Config) -> int:
    path = Path(config.embeddings)
    if path.suffix != ".npz":
        raise UserError(f"embeddings: '{path}' must end in .npz")
    if config.is_distributed:
        raise UserError("embeddings: one process writes them; leave is_distributed out")
    workers = worker_count(config.num_parallel_workers)
    index = open_evaluation_data(config, workers)
    embeddings = embed(load_classifier(Path(config.pretrained), config), index, config.eval_batch_size, workers)
    write_embeddings(path, embeddings)
    log.info("%s: %d images, %d features each", path, *embeddings.features.shape)
    return 0


def evaluate_file(config: Config) -> int:
    """Evaluates what `config.pretrained` names, logs the result and writes `config.result_json`.

    Returns:
        Exit code: 0, or 1 when some checkpoints of a folder were refused (the others are evaluated).
    """
    group = start() if config.is_distributed else ALONE
    with master_first(group):  # it checks files and fetches weights; the others find what it left
        index = open_evaluation_data(config, worker_count(config.num_parallel_workers))
        local_path(Path(config.pretrained), config.cache_dir)
    check_same_images(len(index), index.fingerprint, group)
    path = Path(config.pretrained)
    if not path.is_dir():
        evaluated = _evaluate(path, index, config, group)
        refused: list[Path] = []
    else:
        evaluated, refused = _evaluate_folder(path, index, config, group)
    result = {**evaluated.result, **({"refused": [str(path) for path in refused]} if path.is_dir() else {})}
    if result["dataset"] == "synthetic":
        log.info("synthetic images: the accuracies below mean nothing")
    for line in report_lines(result):
        log.info(line)
    if config.result_json and group.rank == 0:
        write_text(Path(config.result_json), json.dumps(result, indent=2) + "\n")
        log.info("result: %s", config.result_json)
    if config.report and group.rank == 0:
        ending.write_report(Path(config.eval_path), evaluated.answers)
    barrier(group)
    return 1 if refused else 0


def labels_for(classifier: LoadedClassifier, index: ImageIndex) -> ImageIndex:
    """The index with the class numbers of the classifier. Raises UserError where the two do not fit."""
    if classifier.class_names:
        return index.with_classes(classifier.class_names)
    if index.class_names and len(index.class_names) != classifier.num_classes:
        found = len(index.class_names)
        raise UserError(f"num_classes: the network has {classifier.num_classes}, '{index.root}' has {found} class folders")
    check_label_range(index, classifier.num_classes)
    return index


class _Evaluated(NamedTuple):
    """A file's result, and what makes the answers to single images of it."""

    result: dict[str, Any]
    answers: Callable[[], Answers]


def _evaluate(path: Path, index: ImageIndex, config: Config, group: Group) -> _Evaluated:
    with together(group):
        classifier = load_classifier(path, config)
        log.info("load model %s success", path)
        index = labels_for(classifier, index)
    workers, answered = worker_count(config.num_parallel_workers), Answered()
    counted = evaluate(
        classifier.classify, index, classifier.preprocessing, config.eval_batch_size, workers, group,
        classifier.takes_bytes, answered,
    )  # fmt: skip
    used = {"preprocessing": classifier.preprocessing.to_dict(), "config": config.resolved()}
    result = {"model": str(path), "data_dir": str(index.root), "dataset": index.images.kind, **counted, **used}
    columns = answered.gathered(len(index), group)
    about = {**result, **machine(), "network": classifier.info.backbone, "num_classes": classifier.num_classes}
    return _Evaluated(
        result,
        lambda: answers_of(columns, index, classifier.num_classes, classifier.preprocessing, classifier.inside, about),
    )


def _evaluate_folder(folder: Path, index: ImageIndex, config: Config, group: Group) -> tuple[_Evaluated, list[Path]]:
    """The best result among the checkpoints of a folder, and the files that were refused."""
    paths = newest_first(folder)
    if not paths:
        raise UserError(f"pretrained: no .ckpt files in '{folder}'")
    results: list[_Evaluated] = []
    refused = []
    for path in paths:
        try:
            results.append(_evaluate(path, index, config, group))
        except UserError as error:
            log.error("error: %s", error)
            refused.append(path)
        else:
            result = results[-1].result
            log.info("%s: top-1 %.2f %% top-5 %.2f %%", path, 100 * result["top1"], 100 * result["top5"])
            results = [max(results, key=lambda evaluated: evaluated.result["top1"])]  # of equal ones the newest
    if not results:
        raise UserError(f"pretrained: none of the {len(paths)} checkpoints in '{folder}' can be used")
    log.info("best of %d checkpoints: %s", len(paths) - len(refused), results[0].result["model"])
    return results[0], refused
