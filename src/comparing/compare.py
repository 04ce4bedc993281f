"""`compare`: do several files of one network answer alike? Accuracy of each, agreement, differences of logits."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..config import Config
from ..data.datasets import open_evaluation_data
from ..data.index import ImageIndex
from ..device import worker_count
from ..errors import UserError, printable
from ..evaluation.metrics import Counts
from ..files import write_text
from ..log import log
from .sides import different_preprocessing, open_side, with_common_labels

SHOWN = 10  # images that are printed; the JSON file has all


@dataclass
class Tally:
    """What was counted of one file, against the first one.

    Attributes:
        counts: its accuracy.
        same_top1: images whose likeliest class is the first file's too.
        largest, total: largest absolute difference of a logit, and the sum over all.
        numbers: how many logits that sum has.
    """

    counts: Counts = field(default_factory=Counts)
    same_top1: int = 0
    largest: float = 0.0
    total: float = 0.0
    numbers: int = 0

    def add(self, logits: NDArray[Any], reference: NDArray[Any], labels: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Counts a batch, logits (N, classes) each; returns which images the two put into different classes, bool (N,)."""
        self.counts.add(logits, labels)
        difference = np.abs(logits.astype(np.float64) - reference)
        parted = logits.argmax(1) != reference.argmax(1)
        self.same_top1 += int((~parted).sum())
        self.largest = max(self.largest, float(difference.max()))
        self.total += float(difference.sum())
        self.numbers += difference.size
        return parted

    def to_dict(self) -> dict[str, Any]:
        """Shares and differences, for JSON."""
        images = self.counts.images
        return {
            "top1": self.counts.top1 / images,
            "top5": self.counts.top5 / images,
            "top1_correct": self.counts.top1,
            "top5_correct": self.counts.top5,
            "same_top1": self.same_top1 / images,
            "max_abs_diff": self.largest,
            "mean_abs_diff": self.total / self.numbers,
        }


def compare(paths: list[Path], config: Config) -> int:
    """Runs every file over the data set that `config` names, prints a table and writes `config.result_json`.

    Each file gets the images through its own preprocessing. The first file is what the others are compared with.

    Returns:
        The exit code: 0, or 1 where a file is beyond `min_agreement` or `max_difference`.

    Raises:
        UserError: a file or the data cannot be used, or the files have different classes.
    """
    if len(paths) < 2:
        raise UserError("compare: needs two files or more; write python -m src compare A.ckpt B.onnx --data_dir FOLDER")
    index = open_evaluation_data(config, worker_count(config.num_parallel_workers))
    sides = [open_side(path, config) for path in paths]
    index = with_common_labels(sides, index)
    for path in different_preprocessing(sides):
        log.warning("%s: prepares its images otherwise than the others do; its logits differ for that reason too", path)
    tallies, parted = _count([side.logits(index) for side in sides], index)
    for line in _table([str(path) for path in paths], tallies):
        log.info(line)
    for line in _parted_lines(parted):
        log.info(line)
    beyond = _beyond(paths, tallies, config)
    for line in beyond:
        log.error("error: %s", line)
    if config.result_json:
        files = [{"file": str(path), **tally.to_dict()} for path, tally in zip(paths, tallies)]
        limits = {key: getattr(config, key) for key in ("min_agreement", "max_difference")}
        result = {
            "data_dir": str(index.root), "images": len(index), "files": files, "parted": parted, "limits": limits,
            "beyond": beyond,
        }  # fmt: skip
        write_text(Path(config.result_json), json.dumps(result, indent=2) + "\n")
        log.info("result: %s", config.result_json)
    return 1 if beyond else 0


def _count(sides: list[Any], index: ImageIndex) -> tuple[list[Tally], list[dict[str, Any]]]:
    """The tally of every side, and the images that not all put into the same class."""
    tallies, parted, seen = [Tally() for _ in sides], [], 0
    for batch in zip(*sides):
        labels = index.labels[seen : seen + len(batch[0])]
        differs = [tally.add(logits, batch[0], labels) for tally, logits in zip(tallies, batch)]
        for row in np.flatnonzero(np.any(differs, axis=0)):
            position = seen + int(row)
            classes = [_name(index, int(logits[row].argmax())) for logits in batch]
            image, label = index.name(position), _name(index, int(index.labels[position]))
            parted.append({"image": image, "label": label, "classes": classes})
        seen += len(labels)
    if seen != len(index):
        raise RuntimeError(f"{seen} images were compared, but there are {len(index)}")
    return tallies, parted


def _name(index: ImageIndex, number: int) -> str:
    return index.class_names[number] if number < len(index.class_names) else str(number)


def _table(names: list[str], tallies: list[Tally]) -> list[str]:
    rows: list[tuple[str, ...]] = [("file", "top-1", "top-5", "same class", "largest difference", "mean difference")]
    for name, tally in zip(names, tallies):
        found = tally.to_dict()
        shares = (f"{found[key]:.2%}" for key in ("top1", "top5", "same_top1"))
        rows.append((printable(name), *shares, f"{found['max_abs_diff']:.3g}", f"{found['mean_abs_diff']:.3g}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def _parted_lines(parted: list[dict[str, Any]]) -> list[str]:
    if not parted:
        return ["all put every image into the same class"]
    lines = [f"images that they part on: {len(parted)}"]
    for entry in parted[:SHOWN]:
        lines.append(printable(f"  {entry['image']} (label {entry['label']}): {', '.join(entry['classes'])}"))
    return lines + ["  ...; --result_json FILE lists all"] * (len(parted) > SHOWN)


def _beyond(paths: list[Path], tallies: list[Tally], config: Config) -> list[str]:
    """What is beyond the limits, one line each."""
    lines = []
    for path, tally in zip(paths, tallies):
        found = tally.to_dict()
        if found["same_top1"] < config.min_agreement:
            share = f"{found['same_top1']:.4g} of the images are put into the class of {paths[0]}"
            lines.append(f"{path}: {share}, min_agreement is {config.min_agreement:g}")
        if config.max_difference and found["max_abs_diff"] > config.max_difference:
            difference = f"a logit differs by {found['max_abs_diff']:.4g} from that of {paths[0]}"
            lines.append(f"{path}: {difference}, max_difference is {config.max_difference:g}")
    return lines
