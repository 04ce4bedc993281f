"""What a model file says of itself: whether it is whole, where it comes from, and whether it fits this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from ..errors import UserError
from ..model_info import ModelInfo, describe, describe_checkpoint, meta_path
from .findings import Finding, ok, problem, warning
from .machine import numbers

_FOREIGN = (".safetensors", ".pth", ".pt", ".bin", ".tar")
_DESCRIBED = (".ckpt", ".mindir", ".onnx", ".air", ".om")


def check_model(path: Path, mindspore: Optional[str], class_names: tuple[str, ...] = ()) -> Iterator[Finding]:
    """A checkpoint or an export.

    Args:
        mindspore: version of the MindSpore that is here, or None.
        class_names: those of the data that was given; empty: none.
    """
    if not path.is_file():
        yield problem("model", f"no such file '{path}'", "correct --pretrained")
        return
    if path.suffix in _FOREIGN:
        command = f"python -m src.weights --backbone NAME --source {path} --output {path.with_suffix('.ckpt')}"
        yield warning("model", f"{path}: weights of a PyTorch program, which tell nothing of themselves", command)
        return
    if path.suffix not in _DESCRIBED:
        yield problem("model", f"'{path}' has no ending that is known", f"expected {', '.join(_DESCRIBED)}")
        return
    try:
        info, values = _described(path)
    except UserError as error:
        yield problem("model", str(error), "take another copy, or make it again")
        return
    if info == ModelInfo():
        beside = "" if path.suffix == ".ckpt" else f" (no {meta_path(path).name} beside it)"
        text = f"{path}: written by another program{beside}: neither network, classes, preprocessing nor checksum are known"
        yield warning("model", text, "import it, or export the checkpoint again, and keep the description beside the file")
        return
    yield ok("model", f"{path}: {_origin(info, values)}")
    if info.mindspore and mindspore and numbers(info.mindspore)[:2] > numbers(mindspore)[:2]:
        text = f"{path}: written by MindSpore {info.mindspore}, {mindspore} is here"
        yield warning("model", text, "an older MindSpore may refuse it; use that version, or export again here")
    if class_names and info.class_names and set(class_names) - set(info.class_names):
        unknown = sorted(set(class_names) - set(info.class_names))
        text = f"{path}: does not know the class {unknown[0]} of the data ({len(unknown)} such)"
        yield problem("model", text, "take the model of this data, or train one")


def _described(path: Path) -> tuple[ModelInfo, dict[str, object]]:
    if path.suffix == ".ckpt":
        _, info, values = describe_checkpoint(path)
        return info, values
    return describe(path), {}


def _origin(info: ModelInfo, values: dict[str, object]) -> str:
    parts = [f"{info.backbone}, {info.num_classes} classes"]
    if info.source:
        parts.append(f"imported from {info.source.file}")
    if values.get("epoch"):
        parts.append(f"epoch {values['epoch']}, step {values.get('step')}")
    if info.checkpoint:
        parts.append(f"made from {info.checkpoint.file}")
    if info.averaged:
        parts.append("averaged weights")
    if info.mindspore:
        parts.append(f"by MindSpore {info.mindspore}")
    return ", ".join(parts) + "; checksum right"
