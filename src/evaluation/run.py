"""The work of eval.py: one file or a folder of checkpoints over one data set."""

import json
from pathlib import Path

from src.checkpoint import newest_first
from src.config import Config
from src.data.index import ImageIndex, check_label_range, evaluation_folder, index_flat, index_folder
from src.data.scan import usable_images
from src.device import worker_count
from src.errors import UserError
from src.evaluation.classifiers import LoadedClassifier, load_classifier
from src.evaluation.evaluate import evaluate, report_lines
from src.evaluation.predict import predict
from src.files import write_text
from src.runlog import log


def run(config: Config) -> int:
    """Classifies `config.predict`, or else evaluates `config.pretrained` on the data set; returns the exit code."""
    if not config.pretrained:
        raise UserError("pretrained: no value; pass --pretrained FILE (.ckpt, .mindir, .onnx) or a folder of checkpoints")
    if any(config.batch_size):
        raise UserError("batch_size: it belongs to export.py; images per batch of an evaluation are --eval_batch_size")
    if config.predict:
        return predict(load_classifier(Path(config.pretrained), config), config)
    return evaluate_file(config)


def evaluate_file(config: Config) -> int:
    """Evaluates what `config.pretrained` names, logs the result and writes `config.result_json`.

    Returns:
        Exit code: 0, or 1 when some checkpoints of a folder were refused (the others are evaluated).
    """
    index = load_index(config)
    path = Path(config.pretrained)
    if not path.is_dir():
        result = _evaluate(path, index, config)
        refused = []
    else:
        result, refused = _evaluate_folder(path, index, config)
    for line in report_lines(result):
        log.info(line)
    if config.result_json:
        write_text(Path(config.result_json), json.dumps(result, indent=2) + "\n")
        log.info("result: %s", config.result_json)
    return 1 if refused else 0


def load_index(config: Config) -> ImageIndex:
    """The checked images that `data_dir` and `label_file` name; of a folder with train/ and val/, those in val/."""
    if not config.data_dir:
        raise UserError("data_dir: no value; pass --data_dir FOLDER")
    root = Path(config.data_dir)
    index = index_flat(root, Path(config.label_file)) if config.label_file else index_folder(evaluation_folder(root))
    workers = worker_count(config.num_parallel_workers)
    return usable_images(index, config.scan, config.bad_images, Path(config.cache_dir), workers)


def labels_for(classifier: LoadedClassifier, index: ImageIndex) -> ImageIndex:
    """The index with the class numbers of the classifier. Raises UserError where the two do not fit."""
    if classifier.class_names:
        return index.with_classes(classifier.class_names, allow_fewer=True)
    if index.class_names and len(index.class_names) != classifier.num_classes:
        found = len(index.class_names)
        raise UserError(f"num_classes: the network has {classifier.num_classes}, '{index.root}' has {found} class folders")
    check_label_range(index, classifier.num_classes)
    return index


def _evaluate(path: Path, index: ImageIndex, config: Config) -> dict:
    classifier = load_classifier(path, config)
    log.info("load model %s success", path)
    index = labels_for(classifier, index)
    workers = worker_count(config.num_parallel_workers)
    result = evaluate(classifier.classify, index, classifier.preprocessing, config.eval_batch_size, workers)
    used = {"preprocessing": classifier.preprocessing.to_dict(), "config": config.model_dump()}
    return {"model": str(path), "data_dir": str(index.root), **result, **used}


def _evaluate_folder(folder: Path, index: ImageIndex, config: Config) -> tuple:
    """The best result among the checkpoints of a folder, and the files that were refused."""
    paths = newest_first(folder)
    if not paths:
        raise UserError(f"pretrained: no .ckpt files in '{folder}'")
    results, refused = [], []
    for path in paths:
        try:
            results.append(_evaluate(path, index, config))
        except UserError as error:
            log.error("error: %s", error)
            refused.append(path)
        else:
            log.info("%s: top-1 %.2f %% top-5 %.2f %%", path, 100 * results[-1]["top1"], 100 * results[-1]["top5"])
    if not results:
        raise UserError(f"pretrained: none of the {len(paths)} checkpoints in '{folder}' can be used")
    best = max(results, key=lambda result: result["top1"])
    log.info("best of %d checkpoints: %s", len(results), best["model"])
    return {**best, "refused": [str(path) for path in refused]}, refused
