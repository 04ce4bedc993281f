"""Result files of one network output per image: <name>_0.bin (float32 without header) or <name>_0.txt (numbers, blanks)."""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

_RESULT = re.compile(r"(.+)_0\.(bin|txt)")
_SUMMARIES = ("summary.json", "sumary.json")  # ais_bench's own, spelt both ways


@dataclass(frozen=True)
class ResultFolder:
    """The result files of a folder.

    Attributes:
        root: the folder.
        files: name of an image -> name of its result file.
        others: names of files that are no results.
    """

    root: Path
    files: dict[str, str]
    others: list[str]


def open_results(root: Path) -> ResultFolder:
    """Lists the result files of a folder.

    Raises:
        UserError: no such folder, no results in it, or results in both formats.
    """
    if not root.is_dir():
        raise UserError(f"result_dir: no such folder '{root}'")
    kinds: Counter[str] = Counter()
    files, others, folders = {}, [], []
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if entry.name.startswith("."):  # what a killed run was writing
            continue
        if entry.is_dir():
            folders.append(entry.name)
        elif match := _RESULT.fullmatch(entry.name):
            files[match[1]] = entry.name
            kinds[match[2]] += 1
        elif not entry.name.endswith(_SUMMARIES):
            others.append(entry.name)
    if not files:
        inside = next((name for name in folders if any(map(_RESULT.fullmatch, os.listdir(root / name)))), None)
        hint = f"; those in its folder {inside} are reached with --result_dir {root / inside}" if inside else ""
        raise UserError(f"result_dir: no results (<image>_0.bin or <image>_0.txt) in '{root}'{hint}")
    if len(kinds) > 1:
        raise UserError(f"result_dir: '{root}' holds {kinds['bin']} .bin and {kinds['txt']} .txt files; expected one kind")
    return ResultFolder(root, files, others)


def usual_length(folder: ResultFolder, looked_at: int = 100) -> int:
    """How many numbers most of the first result files hold."""
    lengths: Counter[int] = Counter()
    for file in list(folder.files.values())[:looked_at]:
        path = folder.root / file
        if path.suffix == ".bin":
            lengths[path.stat().st_size // 4] += 1
        else:
            lengths[len(path.read_text(encoding="utf-8", errors="replace").split())] += 1
    return lengths.most_common(1)[0][0]


def read_logits(path: Path, count: int) -> NDArray[np.float32]:
    """The numbers of a result file, float32 (count,).

    Raises:
        ValueError: another number of values, something that is no number, NaN or Inf; the message says which.
    """
    if path.suffix == ".bin":
        content = path.read_bytes()
        if len(content) != 4 * count:
            raise ValueError(f"holds {len(content)} bytes; expected {4 * count}, {count} float32 numbers")
        logits = np.frombuffer(content, "<f4")
    else:
        words = path.read_text(encoding="utf-8", errors="replace").split()
        if len(words) != count:
            raise ValueError(f"holds {len(words)} numbers; expected {count}")
        logits = np.array([float(word) for word in words], np.float32)
    if not np.isfinite(logits).all():
        raise ValueError("holds NaN or Inf")
    return logits
