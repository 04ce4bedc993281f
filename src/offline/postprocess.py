"""Result files to accuracy: every image that has a label counts, whether its result can be used or not."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.index import ImageIndex, check_label_range
from ..data.sources.lists import index_unlabeled
from ..errors import UserError
from ..evaluation.metrics import label_ranks
from ..files import write_text
from ..log import log
from ..progress import bar
from .description import description_of
from .labels import labeled_images
from .result_names import result_names
from .results import ResultFolder, open_results, read_logits, usual_length

TOP = 5


def postprocess(config: Config) -> int:
    """Reads `result_dir`, prints the accuracy and writes `result_json` (result.json).

    Number and names of the classes come from the file in `pretrained`, if there is one.

    Returns:
        Exit code: 0, or 3 when a result is missing, cannot be used or belongs to no image; each is named, and an image
        without a usable result counts as wrong.

    Raises:
        UserError: no results, or labels that do not fit them.
    """
    results = open_results(Path(config.result_dir))
    info = description_of(config)
    index = labeled_images(config, info.class_names)
    given = config.num_classes if "num_classes" in config.given else None
    class_count = info.num_classes or given or usual_length(results)
    check_label_range(index, class_count)
    names = _names(index, is_whole_folder=not config.label_file)
    ranks, predicted, problems = _read_all(results, index, names, class_count)
    for problem in problems:
        log.warning("%s", problem)
    report = _report(index, ranks, predicted, class_count)
    report["problems"] = problems
    output = Path(config.result_json or "result.json")
    write_text(output, json.dumps(report, indent=2) + "\n")
    log.info("result: %s", output)
    top1, top5 = (float((ranks < k).mean()) for k in (1, TOP))
    if problems:
        log.warning("%d problems, named above; images without a usable result count as wrong", len(problems))
    log.info("Total data: %d, top1 accuracy: %s, top5 accuracy: %s.", len(index), round(top1, 6), round(top5, 6))
    return 3 if problems else 0


def _names(index: ImageIndex, is_whole_folder: bool) -> list[str]:
    """What the results of the images are called; in a folder, images without a label have a say in that too."""
    files = list(index.files)
    if is_whole_folder:
        files = sorted({*files, *index_unlabeled(index.root, "data_dir").files})
    names = dict(zip(files, result_names(files)))
    return [names[file] for file in index.files]


def _read_all(
    results: ResultFolder, index: ImageIndex, names: list[str], class_count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], list[str]]:
    """Place of each image's label among its classes (`class_count` without a result), its first class (-1), problems."""
    ranks = np.full(len(index), class_count + TOP)
    predicted = np.full(len(index), -1)
    used: Counter[str] = Counter()
    problems = []
    known = set(names)
    for i, name in enumerate(bar(names, unit="img", leave=False)):
        short = name.partition(".")[0]  # ais_bench cuts names at their first dot
        file = results.files.get(name) or (results.files.get(short) if short not in known else None)
        if not file:
            problems.append(f"result missing: {index.files[i]} has no {name}_0.bin or {name}_0.txt")
            continue
        used[file] += 1
        try:
            logits = read_logits(results.root / file, class_count)
        except (ValueError, OSError) as error:
            problems.append(f"result unusable: {results.root / file} {getattr(error, 'strerror', None) or error}")
            continue
        ranks[i] = label_ranks(logits[None], index.labels[i : i + 1])[0]
        predicted[i] = int(logits.argmax())
    shared = sorted(file for file, count in used.items() if count > 1)
    if shared:
        raise UserError(f"result_dir: {shared[0]} would be the result of {used[shared[0]]} images; rename them")
    extra = sorted({*results.others, *results.files.values()} - set(used))
    return ranks, predicted, problems + [f"result extra: {results.root / file} belongs to no image" for file in extra]


def _report(index: ImageIndex, ranks: NDArray[np.int64], predicted: NDArray[np.int64], class_count: int) -> dict[str, Any]:
    """`title` and `value` as the Ascend model zoo's vision_metric_ImageNet.py writes them, and what happened per class."""
    value = [("Number of images", str(len(index))), ("Number of classes", str(class_count))]
    value += [(f"Top{k} accuracy", f"{(ranks < k).mean():.2%}") for k in range(1, TOP + 1)]

    def name(label: int) -> str:
        return index.class_names[label] if label < len(index.class_names) else str(label)

    classes = []
    for label in np.unique(index.labels):
        members = index.labels == label
        wrong = Counter(name(other) for other in predicted[members & (predicted >= 0)] if other != label)
        classes.append(
            {
                "class": name(label),
                "index": int(label),
                "images": int(members.sum()),
                "top1_correct": int((ranks[members] < 1).sum()),
                "top5_correct": int((ranks[members] < TOP).sum()),
                "taken_for": dict(wrong.most_common()),
            }
        )
    return {
        "title": "Overall statistical evaluation",
        "value": [{"key": key, "value": text} for key, text in value],
        "classes": classes,
    }
