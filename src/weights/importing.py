"""Reads a file of weights for a network: every tensor under its name here, and what a checkpoint says of them."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ..config import build_config
from ..config.types import per_channel
from ..data.preprocessing import preprocessing_from
from ..errors import UserError, first_of
from ..model_info import ModelInfo, Source, file_digest
from ..models.create import create_model
from ..networks.imagenet import imagenet_classes
from ..networks.registry import canonical_name, find_model
from .channels import first_convolution, fit_channels
from .parameter_names import (
    EPSILON_DIFFERENCE,
    find_padding,
    has_larger_epsilon,
    is_cadene_senet,
    is_counter,
    is_training_state,
    lacks_biases,
    our_name,
    split_group,
    without_wrappers,
)
from .reading import WeightFile, find_weights, read_weight_file
from .torch_tensors import StoredTensor

log = logging.getLogger("resnet_zoo")

_FLOATS = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True)
class _Entry:
    """A weight under its name here: the names that it has in the file, and its parts there (one, or one per group)."""

    sources: list[str]
    parts: list[StoredTensor]

    @property
    def shape(self) -> tuple[int, ...]:
        first = self.parts[0].shape
        return (sum(part.shape[0] for part in self.parts), *first[1:]) if len(self.parts) > 1 and first else first


def read_weights(
    backbone: str,
    source: Path,
    averaged: bool = False,
    class_names: tuple[str, ...] = (),
    in_channels: Optional[int] = None,
) -> tuple[dict[str, NDArray[Any]], ModelInfo]:
    """Reads a file for a network.

    Args:
        averaged: take the averaged weights (EMA), which some training programs keep beside those of the last step.
        class_names: names of the classes; empty: those that the file tells, of 1,000 classes else ImageNet's.
        in_channels: of the images, 3 or 1, whatever the file's network takes; None: as that one.

    Returns:
        Name of each parameter -> float32 array; what a checkpoint of them says of itself.

    Raises:
        UserError: the file cannot be read, holds more than data, does not fit the network, or a weight is not finite.
    """
    file = read_weight_file(source)
    stored = file.info.backbone or backbone
    if canonical_name(stored) != backbone:
        raise UserError(f"backbone: {backbone} was asked for, but {source} holds {_printable(stored)}")
    try:
        found, place, other = find_weights(file.content, averaged, lambda value: isinstance(value, StoredTensor))
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    tensors = {str(name): value for name, value in found.items() if isinstance(value, StoredTensor)}
    _log_choice(source, file.format, place, other, averaged)

    entries = _collect(source, tensors)
    first = first_convolution(entries)
    stored_channels = 1 if first in entries and entries[first].shape[1:2] == (1,) else 3
    num_classes = (entries["fc.weight"].shape or (1,))[0] if "fc.weight" in entries else 1
    expected = _shapes(backbone, num_classes, stored_channels)
    names = {without_wrappers(name) for name in tensors}
    _check_fit(source, backbone, entries, expected, names)
    if is_cadene_senet(names) and find_model(backbone).groups == 1:
        raise UserError(
            f"{source}: from a {backbone} with the stride on the first 1x1 convolution of a block, here it is on the 3x3; "
            "use weights of timm's seresnet50"
        )
    values = {name: _values(source, name, shape, entries, names) for name, shape in expected.items()}
    _log_conversions(entries, names)
    in_channels = in_channels or stored_channels
    values[first] = fit_channels(values[first], in_channels)
    info = _describe(backbone, num_classes, file, find_padding(names), source, in_channels)
    return values, info.model_copy(update={"class_names": _class_names(info, class_names)})


def _shapes(backbone: str, num_classes: int, in_channels: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every weight. The classifier is not built: a file may claim any number of classes."""
    network = create_model(backbone, 1, in_channels=in_channels)
    shapes = {parameter.name: tuple(parameter.shape) for parameter in network.get_parameters()}
    for name in ("fc.weight", "fc.bias"):
        shapes[name] = (num_classes, *shapes[name][1:])
    return shapes


def _log_choice(source: Path, file_format: str, place: str, other: str, averaged: bool) -> None:
    log.info("%s: %s%s", source, file_format, f", weights in '{place}'" if place else "")
    if other and averaged:
        log.info("averaged weights taken, as --ema asks; the file has others in '%s'", other)
    elif other:
        log.info("the file has averaged weights too ('%s'); --ema takes those", other)


def _collect(source: Path, tensors: dict[str, StoredTensor]) -> dict[str, _Entry]:
    """Our names -> entries, without counters and optimizer state. Raises UserError where two weights get one name."""
    state = {name: None for name in tensors if is_training_state(name, tensors)}
    if state:
        log.info("%d tensors of an optimizer are left out, first %s", len(state), ascii(next(iter(state))))
    groups: dict[str, list[tuple[Optional[int], str]]] = {}
    for name in tensors:
        if not is_counter(name) and name not in state:
            target, group = split_group(our_name(name))
            groups.setdefault(target, []).append((group, name))
    entries = {}
    for target, members in groups.items():
        numbers = [group for group, _ in members]
        if numbers != [None]:
            members.sort(key=lambda member: -1 if member[0] is None else member[0])
            if sorted(number for number in numbers if number is not None) != list(range(len(members))):
                listed = _first([name for _, name in members])
                raise UserError(f"{source}: {len(members)} tensors would be {target}: {listed}; they do not add up to one")
        names = [name for _, name in members]
        entries[target] = _Entry(names, [tensors[name] for name in names])
    joined = sum(len(entry.parts) > 1 for entry in entries.values())
    if joined:
        log.info("%d grouped convolutions joined, which the file has group by group", joined)
    return entries


def _check_fit(
    source: Path, backbone: str, entries: dict[str, _Entry], expected: dict[str, tuple[int, ...]], names: Collection[str]
) -> None:
    """Raises UserError with counts and the first names, after all names in the log, where they do not fit."""
    missing = [name for name in expected if name not in entries and not _is_zero(name, names)]
    extra = [entry.sources[0] for name, entry in entries.items() if name not in expected]
    shapes = [
        f"{name} {entries[name].shape} instead of {shape}"
        for name, shape in expected.items()
        if name in entries and not _has_shape(entries[name], shape)
    ]
    kinds = [("missing", missing), ("unknown", extra), ("of another shape", shapes)]
    problems = [(kind, listed) for kind, listed in kinds if listed]
    for kind, listed in problems:
        log.warning("%d %s: %s", len(listed), kind, ", ".join(map(_printable, listed)))
    if problems:
        found = "; ".join(f"{len(listed)} {kind} ({_first(listed)})" for kind, listed in problems)
        raise UserError(f"{source}: does not fit {backbone}: {found}; check --backbone")


def _has_shape(entry: _Entry, shape: tuple[int, ...]) -> bool:
    """A linear layer's weight (O, I) fits a 1x1 convolution's (O, I, 1, 1) too."""
    if len({part.shape for part in entry.parts}) > 1 or 0 in shape:
        return False
    return entry.shape == shape or len(entry.shape) == 2 and (*entry.shape, 1, 1) == shape


def _is_zero(name: str, names: Collection[str]) -> bool:
    return name.endswith((".conv2.fc1.bias", ".conv2.fc2.bias")) and lacks_biases(names)


def _values(
    source: Path, name: str, shape: tuple[int, ...], entries: dict[str, _Entry], names: Collection[str]
) -> NDArray[np.float32]:
    if name not in entries:
        return np.zeros(shape, np.float32)
    entry = entries[name]
    for source_name, part in zip(entry.sources, entry.parts):
        if part.dtype not in _FLOATS:
            raise UserError(f"{source}: {_printable(source_name)} is of type {part.dtype}; expected {', '.join(_FLOATS)}")
    with np.errstate(over="ignore"):
        arrays = [part.read().astype(np.float32) for part in entry.parts]
    for source_name, array in zip(entry.sources, arrays):
        if not np.isfinite(array).all():
            raise UserError(f"{source}: {_printable(source_name)} holds NaN, Inf or a number beyond float32")
    values = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    if has_larger_epsilon(without_wrappers(entry.sources[0]), names):
        values = values + np.float32(EPSILON_DIFFERENCE)
    return np.ascontiguousarray(values.reshape(shape))


def _log_conversions(entries: dict[str, _Entry], names: Collection[str]) -> None:
    dtypes = [part.dtype for entry in entries.values() for part in entry.parts]
    for dtype in _FLOATS[1:]:
        if dtype in dtypes:
            log.info("%d of %d tensors converted from %s to float32", dtypes.count(dtype), len(dtypes), dtype)
    shifted = sum(has_larger_epsilon(name, names) for name in names)
    if shifted:
        log.info(
            "%d variances raised by %g: the file's network normalizes with epsilon 1e-4, ours with 1e-5",
            shifted, EPSILON_DIFFERENCE,
        )  # fmt: skip
    if lacks_biases(names):
        log.info("biases of split attention set to zero: the file's network has none")


def _describe(backbone: str, num_classes: int, file: WeightFile, padding: str, source: Path, in_channels: int) -> ModelInfo:
    """What the checkpoint says of itself: what a file of ours said, else `padding` and ImageNet's usual preprocessing."""
    size = find_model(backbone).image_size
    # PyTorch's programs evaluated their weights on images that Pillow resized, MindSpore's on images resized by MindSpore
    antialias = file.format != "MindSpore"
    keys = {"image_size": (size, size), "eval_antialias": antialias, "in_channels": in_channels}
    preprocessing = preprocessing_from(build_config(keys))
    stored = file.info
    padding = stored.padding if "padding" in stored.model_fields_set else padding
    if padding != "symmetric":
        log.info("padding '%s' kept: the file's network places strided windows unlike torchvision's", padding)
    if stored.preprocessing:
        channels = {key: per_channel(getattr(stored.preprocessing, key), in_channels) for key in ("mean", "std")}
        preprocessing = stored.preprocessing.model_copy(update=channels)
    else:
        log.info(
            "preprocessing taken to be the usual one: shorter side %d with %s's filter, crop %d, ImageNet's mean and std; "
            "--eval_resize, --eval_antialias, --mean, --std of eval.py change it",
            preprocessing.resize, "Pillow" if antialias else "MindSpore", size,
        )  # fmt: skip
    return ModelInfo(
        backbone=backbone,
        num_classes=num_classes,
        padding=padding,
        class_names=stored.class_names if len(stored.class_names) == num_classes else (),
        preprocessing=preprocessing,
        source=Source(file=source.name, sha256=file_digest(source), format=file.format),
    )


def _class_names(info: ModelInfo, given: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the classes, as `read_weights` says."""
    if given and len(given) != info.num_classes:
        raise UserError(f"class_names: {len(given)} names, but the weights have {info.num_classes} classes")
    if given or info.class_names or info.num_classes != len(imagenet_classes()):
        return given or info.class_names
    log.info("the 1,000 classes are taken to be ImageNet's, in their usual order; --class_names FILE names others")
    return tuple(imagenet_classes())


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _first(names: list[str]) -> str:
    return first_of([_printable(name) for name in names])
