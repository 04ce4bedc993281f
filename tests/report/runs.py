"""Made-up runs for the tests of the page, and for benchmarks/report.py."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from src.config import build_config, to_yaml
from src.report import answers as answer_file
from src.report.answers import Answers, Picture
from src.report.numbers import pictured

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}$x_1$\x1b[2J\u202egnp.\n--><img src=x onerror=alert(2)>"


def write_run(folder: Path, classes: int = 3, images: int = 60, name: str = "class", lines: int = 12, **settings) -> Path:
    """A run folder as train.py leaves it.

    Args:
        name: what the names of classes and images begin with.
        lines: of each kind in metrics.jsonl.
        settings: keys that the run has set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(1)
    labels = np.arange(images) % classes
    guesses = np.where(chance.random(images) < 0.7, labels, chance.integers(0, classes, images))
    ranks = np.where(guesses == labels, 0, chance.integers(1, classes, images))
    confidences = chance.uniform(0.3, 1, images)
    counted = {"images": images, "top1_correct": int((ranks < 1).sum()), "top5_correct": int((ranks < 5).sum())}
    shares = {f"top{k}": counted[f"top{k}_correct"] / images for k in (1, 5)}
    columns = (values.astype(np.int32) for values in (labels, guesses, ranks))
    names = tuple(f"{name}{number}" for number in range(classes))
    answers = Answers(*columns, confidences.astype(np.float32), classes, names, {**counted, **shares, "img_per_s": 9.5})
    explained, plain = pictured(answers)
    for position in (*explained, *plain):
        image = noise(position)
        answers.pictures[position] = Picture(f"{name}{position}.jpg", image, image if position in explained else b"")
    answer_file.save(folder / answer_file.NAME, answers)
    events = [{"event": "start", "network": "resnet18", "processor": name, "cores": 2, "train_images": 10 * images}]
    for line in range(1, lines + 1):
        events.append({"event": "train", "step": line, "loss": 3 / line, "lr": 0.1 / line, "img_per_s": 90.0 + line % 3,
                       "waiting": 0.1, "loss_scale": 2.0 ** (line % 4), "skipped_steps": line // 4})  # fmt: skip
    events.append({"event": "eval", "step": lines, **counted, **shares, "time": 1.7e9})
    events.append({"event": "end", "seconds": 12.5, "img_per_s": 123.4})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    config = build_config({"backbone": "resnet18", "num_classes": classes, **settings})
    (folder / "resolved.yaml").write_text(to_yaml(config.resolved()))
    return folder


def noise(seed: int) -> bytes:
    """A picture of 96 x 96 pixels as a JPEG file of the size that photographs have."""
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG", quality=80)
    return file.getvalue()
