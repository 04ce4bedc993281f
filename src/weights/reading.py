"""Reads files of weights, whatever program wrote them; what a file is, its content says and not its ending."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from ..checkpoint_file import STATE_PREFIX
from ..described import checked, parse_json
from ..errors import UserError, first_line
from ..model_info import ModelInfo, describe_checkpoint
from .torch_files import is_torch_file, read_torch
from .torch_tensors import StoredTensor, widen_bfloat16

log = logging.getLogger("resnet_zoo")

# Where training programs put the weights, and where averages of them (EMA): timm, torchvision's references, and others.
_WEIGHTS = ("state_dict", "model_state_dict", "model", "net", "network")
_AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema")
_MINDCV_AVERAGED = "ema."  # in front of every name
_Found = tuple[dict[Any, Any], str, str]
_SAFETENSORS_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32", "I16": "int16",
    "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class WeightFile:
    """What a file holds: dictionaries of tensors, perhaps within others, and what it says of itself where it is ours."""

    format: str
    content: Any
    info: ModelInfo


def read_weight_file(path: Path) -> WeightFile:
    """Reads PyTorch's, safetensors' and MindSpore's files.

    Raises:
        UserError: no such file, none of these formats, damaged, or more than data in it.
    """
    if not path.is_file():
        raise UserError(f"source: no such file '{path}'")
    if is_torch_file(path):
        file_format, content = read_torch(path)
        return WeightFile(file_format, content, ModelInfo())
    with open(path, "rb") as file:
        head = file.read(64)
    if head[8:9] == b"{":  # behind the header's length
        return _read_safetensors(path)
    if head[:1] == b"\x0a":  # the first field of the protobuf message
        return _read_mindspore(path)
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{path}: a pointer of Git LFS in place of the file; fetch it with git lfs pull")
    if head[:1] == b"\x80":
        raise UserError(f"{path}: a pickle that torch.save did not write; it is not read")
    raise UserError(f"{path}: neither a PyTorch nor a safetensors nor a MindSpore file, or damaged; use another one")


def find_weights(content: Any, averaged: bool, is_tensor: Callable[[Any], bool]) -> _Found:
    """The dictionary of tensors within what a training program saved.

    Args:
        averaged: take the averaged weights (EMA) instead of those of the last step.

    Returns:
        The dictionary, where it was ("model_ema"), and where the file has the other kind, each "" for nowhere.

    Raises:
        UserError: none of that kind.
    """

    def has_tensors(value: Any) -> bool:
        return isinstance(value, dict) and any(is_tensor(item) for item in value.values())

    if has_tensors(content):
        return _find_prefixed(content, averaged)
    keys = [key for key in content if isinstance(content[key], dict)] if isinstance(content, dict) else []
    last, average = (next((key for key in known if key in keys), "") for known in (_WEIGHTS, _AVERAGED))
    wanted, other = (average, last) if averaged else (last, average)
    if not wanted and other:
        raise UserError(f"no weights but '{other}'; import it {'without' if averaged else 'with'} --ema")
    weights, place = (content[wanted], wanted) if wanted else (content, "")
    if wanted and not has_tensors(weights):  # {"ema": {"state_dict": ...}}
        inner = next((key for key in _WEIGHTS if has_tensors(weights.get(key))), "")
        weights, place = weights.get(inner), f"{wanted}.{inner}"
    if not has_tensors(weights):
        found = ", ".join(map(ascii, keys[:5])) or type(content).__name__
        raise UserError(f"no weights: neither tensors nor one of {', '.join(_WEIGHTS + _AVERAGED)}; it holds {found}")
    return weights, place, other


def _find_prefixed(weights: dict[Any, Any], averaged: bool) -> _Found:
    """The same for a file of MindCV's trainer, where averaged weights are beside the others under another name."""
    names = [name for name in weights if isinstance(name, str) and name.startswith(_MINDCV_AVERAGED)]
    if averaged and not names:
        raise UserError("--ema: the file has one set of weights; import it without --ema")
    if averaged:
        return {name[len(_MINDCV_AVERAGED) :]: weights[name] for name in names}, _MINDCV_AVERAGED, "no prefix"
    return {name: value for name, value in weights.items() if name not in names}, "", _MINDCV_AVERAGED if names else ""


def _read_safetensors(path: Path) -> WeightFile:
    content = path.read_bytes()
    try:
        tensors = safetensors.deserialize(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (safetensors.SafetensorError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as safetensors: {first_line(error)}; use another copy of the file"
        ) from None
    found = {name: _from_safetensors(name, tensor) for name, tensor in tensors}
    return WeightFile("safetensors", found, _info_of(path, header.get("__metadata__")))


def _info_of(path: Path, texts: Any) -> ModelInfo:
    """What `write_safetensors` wrote; nothing where another program wrote the file, or where it makes no sense."""
    text = texts.get("resnet_zoo") if isinstance(texts, dict) else None
    if not isinstance(text, str):
        return ModelInfo()
    try:
        return checked(ModelInfo, parse_json(text, path), path)
    except UserError as error:
        log.warning("what the file says of itself is not used: %s", error)
        return ModelInfo()


def _from_safetensors(name: str, tensor: dict[str, Any]) -> StoredTensor:
    dtype = _SAFETENSORS_TYPES.get(tensor["dtype"], tensor["dtype"])
    shape = tuple(tensor["shape"])

    def read() -> NDArray[Any]:
        values = np.frombuffer(tensor["data"], "<u2" if dtype == "bfloat16" else np.dtype(dtype)).reshape(shape)
        return widen_bfloat16(values) if dtype == "bfloat16" else values

    return StoredTensor(shape, dtype, read)


def _read_mindspore(path: Path) -> WeightFile:
    loaded, info, described = describe_checkpoint(path)
    if described:
        loaded = {name: tensor for name, tensor in loaded.items() if not name.startswith(STATE_PREFIX)}
    content = {name: StoredTensor(tensor.shape, tensor.dtype, tensor.values) for name, tensor in loaded.items()}
    return WeightFile("MindSpore", content, info)
