"""What the sections of the page say, as the template takes it: texts and numbers, no markup."""

import time
from collections.abc import Sequence
from typing import Any, Optional

from ..networks.imagenet import full_name
from . import numbers
from .answers import Answers
from .curves import Plot
from .pictures import data_address
from .plots import reliability
from .run_files import Run

_OPEN_ROWS = 20  # of the table of classes; the others are behind a fold
_MOST_FINDINGS = 100  # of a kind
_FACTS = {
    "network": "network", "platform": "platform", "processes": "processes", "processor": "processor", "cores": "cores",
    "memory_gb": "memory, GB", "system": "system", "python": "Python", "mindspore": "MindSpore", "numpy": "NumPy",
    "version": "MindSpore ResNet Zoo", "num_classes": "classes", "train_images": "training images",
    "eval_images": "validation images", "steps_per_epoch": "steps per epoch",
    "model": "model", "data_dir": "evaluated on",
}  # fmt: skip


def percent(share: float, digits: int = 2) -> str:
    """0.9889 -> "98.89%"."""
    return f"{share:.{digits}%}"


def _last(run: Run, kind: str) -> dict[str, Any]:
    events = run.of(kind)
    return events[-1] if events else {}


def _evaluation(run: Run) -> dict[str, Any]:
    """What the answers were counted to, or else the last evaluation of the run."""
    return run.answers.result if run.answers else _last(run, "eval")


def subtitle(runs: Sequence[Run]) -> str:
    """Networks, and when the newest of the runs said something last."""
    networks = dict.fromkeys(str(run.settings["backbone"]) for run in runs if "backbone" in run.settings)
    said = [event.get("time") for run in runs for event in run.events]
    times = [seconds for seconds in said if isinstance(seconds, float) and 0 < seconds < 1e11]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(times))) if times else ""
    return ", ".join(filter(None, (*networks, when)))


def note(run: Run) -> str:
    """What a reader must know before the numbers."""
    if "synthetic" in (_last(run, "eval").get("dataset"), _evaluation(run).get("dataset")):
        return "Made-up images: the accuracies mean nothing."
    stopped = _last(run, "stop")
    return f"The run was stopped by {stopped.get('reason')} after step {stopped.get('step')}." if stopped else ""


def cards(run: Run) -> list[tuple[str, str]]:
    """The numbers that most people look for."""
    found, end, evaluation = [], _last(run, "end"), _evaluation(run)
    for k in (1, 5):
        if isinstance(evaluation.get(f"top{k}"), float):
            counted = f"top-{k}, {evaluation.get(f'top{k}_correct')} of {evaluation.get('images')} images"
            found.append((counted, percent(evaluation[f"top{k}"])))
    best = max((event["top1"] for event in run.of("eval") if isinstance(event.get("top1"), float)), default=None)
    if best is not None:
        found.append(("best top-1 of the run", percent(best)))
    if end:
        found += [("training, seconds", f"{end.get('seconds')}"), ("training, images per second", f"{end.get('img_per_s')}")]
    performance = _last(run, "performance")
    if performance:
        found.append(("training step, images per second", f"{performance.get('img_per_s')}"))
    if not end and "img_per_s" in evaluation:
        found.append(("evaluation, images per second", f"{evaluation['img_per_s']}"))
    return found


def facts(run: Run) -> list[tuple[str, Any]]:
    """Machine, versions and data."""
    evaluation = run.answers.result if run.answers else {}
    found = {"network": run.settings.get("backbone"), **evaluation, **_last(run, "start")}
    return [(name, found[key]) for key, name in _FACTS.items() if found.get(key) is not None]


def results(runs: Sequence[Run]) -> dict[str, Any]:
    """One row per run."""
    rows = []
    for run in runs:
        evaluation, end = _evaluation(run), _last(run, "end")
        shares = [percent(evaluation[key]) if isinstance(evaluation.get(key), float) else "" for key in ("top1", "top5")]
        rows.append((run.name, [*shares, evaluation.get("images", ""), end.get("seconds", ""), end.get("img_per_s", "")]))
    return {"head": ["top-1", "top-5", "images", "training, s", "training, img/s"], "rows": rows}


def of_answers(answers: Answers) -> dict[str, Any]:
    """Everything that comes from the answers to single images."""
    few = answers.num_classes <= numbers.LARGEST_MATRIX
    return {
        "classes": _classes(answers),
        "matrix": _matrix(answers) if few else None,
        "pairs": [] if few else _pairs(answers),
        "calibration": _calibration(answers),
        "galleries": _galleries(answers),
    }


def _classes(answers: Answers) -> list[dict[str, Any]]:
    """The classes from the worst one on: all of few, or the worst and the rest behind a fold."""
    rows = []
    for one in sorted(numbers.by_class(answers), key=lambda found: (found.top1 / found.images, found.number)):
        top1 = one.top1 / one.images
        name, top5 = answers.class_name(one.number), one.top5 / one.images
        rows.append({"name": name, "images": one.images, "top1": top1, "width": f"{100 * top1:.0f}", "top5": top5})
    if len(rows) <= _OPEN_ROWS:
        return [{"title": "all classes, the worst first", "rows": rows, "closed": False}]
    rest = rows[_OPEN_ROWS:]
    return [
        {"title": f"the {_OPEN_ROWS} worst of {len(rows)} classes", "rows": rows[:_OPEN_ROWS], "closed": False},
        {"title": f"the other {len(rest)} classes", "rows": rest, "closed": True},
    ]


def _matrix(answers: Answers) -> dict[str, Any]:
    """Counts, and how strong the color of each is: its share of the class."""
    counts, names = numbers.confusion(answers), list(map(answers.class_name, range(answers.num_classes)))
    rows = []
    for name, row in zip(names, counts):
        shares = row / max(row.sum(), 1)
        rows.append((name, [(int(count), f"{0.08 + 0.37 * share:.2f}") for count, share in zip(row, shares)]))
    return {"names": names, "rows": rows}


def _pairs(answers: Answers) -> list[dict[str, Any]]:
    return [
        {
            "label": answers.class_name(pair.label), "guess": answers.class_name(pair.guess), "count": pair.times,
            "images": pair.images,
            "pictures": _pictures(answers, [*pair.mistaken, *pair.right_label, *pair.right_guess], heat=False),
        }
        for pair in numbers.worst_pairs(answers)
    ]  # fmt: skip


def _calibration(answers: Answers) -> dict[str, Any]:
    found = numbers.calibration(answers)
    caption = f"accuracy of the images of each confidence; on the dashed line the two are equal; {len(found.images)} bins"
    return {
        "error": found.error,
        "confidence": float(answers.confidences.mean(dtype=float)),
        "accuracy": float((answers.ranks == 0).mean()),
        "plot": Plot(caption, reliability(found)),
    }


def _galleries(answers: Answers) -> list[dict[str, Any]]:
    kinds = (
        ("mistakes", "Most confident mistakes", "Where the network is wrong and most certain", numbers.surest_mistakes),
        ("hits", "Least confident hits", "Where it is right and least certain", numbers.unsurest_hits),
    )
    seen = "; beside each image what it saw of it, warm where it saw what it put first (Grad-CAM)."
    found = []
    for anchor, title, text, choose in kinds:
        pictures = _pictures(answers, choose(answers), heat=True)
        if pictures:
            end = seen if any(one["heat"] for one in pictures) else "."
            found.append({"anchor": anchor, "title": title, "text": text + end, "pictures": pictures})
    return found


def _pictures(answers: Answers, positions: Sequence[int], heat: bool) -> list[dict[str, Any]]:
    found = []
    for position in positions:
        picture = answers.pictures.get(position)
        found.append({
            "name": picture.name if picture else f"image {position}",
            "image": data_address(picture.image) if picture and picture.image else "",
            "heat": data_address(picture.heat) if picture and picture.heat and heat else "",
            "guess": answers.class_name(int(answers.guesses[position])),
            "label": answers.class_name(int(answers.labels[position])),
            "confidence": float(answers.confidences[position]),
            "right": bool(answers.ranks[position] == 0),
        })  # fmt: skip
    return found


def exports(run: Run) -> list[dict[str, Any]]:
    """How exports of this run compare with the network."""
    rows = []
    for name, info in run.exports.items():
        quantized = ""
        if info.quantization:
            top1 = {kind: percent(accuracy.top1) for kind, accuracy in info.quantization.accuracy.items()}
            quantized = f"top-1 {top1.get('int8', '')}, in float32 {top1.get('float32', '')}; " if top1 else ""
            quantized += f"{percent(info.quantization.same_top1)} the same class first"
        difference = "" if info.max_abs_diff is None else f"{info.max_abs_diff:.2g}"
        sizes = ", ".join(map(str, info.compared_batch_sizes))
        rows.append({"name": name, "format": info.file_format or "", "difference": difference, "sizes": sizes,
                     "quantized": quantized})  # fmt: skip
    return rows


def findings(run: Run) -> Optional[dict[str, Any]]:
    """Duplicates and label errors, the first of each in a table."""
    if not run.findings:
        return None
    duplicates = [one for one in run.findings if one.kind == "duplicate"]
    labels = [one for one in run.findings if one.kind == "label"]
    rows = []
    for one in (*duplicates[:_MOST_FINDINGS], *labels[:_MOST_FINDINGS]):
        is_duplicate = one.kind == "duplicate"
        given, suggested = full_name(one.label or "its class"), full_name(one.suggested or "")
        what = f"the same as {one.other}" if is_duplicate else f"{given}, probably {suggested}"
        rows.append({"image": one.image, "what": what, "score": f"{one.score:.3f}"})
    text = f"Duplicates: {len(duplicates)}; probable label errors: {len(labels)}"
    text += f"; the first {_MOST_FINDINGS} of each are shown." if len(rows) < len(run.findings) else "."
    return {"rows": rows, "text": text}
