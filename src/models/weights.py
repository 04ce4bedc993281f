"""Brings weights from PyTorch, MindCV and MindSpore's models repository here, and weights from here to PyTorch.

    python -m src.models.weights --backbone NAME --source FILE --output X.ckpt [--ema] [--verify]
    python -m src.models.weights --backbone NAME --source X.ckpt --output Y.safetensors

FILE is what torch.save wrote (.pth, .pt, .bin, .pth.tar; read without PyTorch, and nothing in it is run), .safetensors or a
MindSpore .ckpt. Every tensor is accounted for: one that is missing, unknown or of another shape refuses the file.
"""

import json
import logging
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src import device
from src.config import build_config
from src.data.preprocessing import Preprocessing, preprocessing_from
from src.errors import CommandParser, UserError, first_of, run_command
from src.files import replacing
from src.meta import file_digest
from src.models.registry import canonical_name, create_model, find_model
from src.models.torch_files import StoredTensor
from src.models.weight_names import (
    EPSILON_DIFFERENCE,
    describe_difference,
    has_larger_epsilon,
    is_counter,
    is_training_state,
    may_lack_biases,
    our_name,
    split_group,
)

log = logging.getLogger("resnet_zoo")

_FLOATS = ("float32", "float16", "bfloat16", "float64")


@dataclass(frozen=True)
class _Entry:
    """A weight under its name here: the names that it has in the file, and its parts there (one, or one per group)."""

    sources: list
    parts: list

    @property
    def shape(self) -> tuple:
        first = self.parts[0].shape
        return (sum(part.shape[0] for part in self.parts), *first[1:]) if len(self.parts) > 1 and first else first


def read_weights(backbone: str, source: Path, averaged: bool = False) -> tuple:
    """Reads a file for a network.

    Args:
        averaged: take the averaged weights (EMA), which some training programs keep beside those of the last step.

    Returns:
        Name of each parameter -> float32 array; metadata for a checkpoint; in what the file's network differs ("": nothing).

    Raises:
        UserError: the file cannot be read, holds more than data, does not fit the network, or a weight is not finite.
    """
    from src.models.weight_files import find_weights, read_weight_file  # imports MindSpore, which `prepare` must precede

    file = read_weight_file(source)
    stored = str(file.metadata.get("backbone", backbone))
    if canonical_name(stored) != backbone:
        raise UserError(f"backbone: {backbone} was asked for, but {source} holds {_printable(stored)}")
    try:
        found, place, other = find_weights(file.content, averaged, lambda value: isinstance(value, StoredTensor))
    except UserError as error:
        raise UserError(f"{source}: {error}") from None
    tensors = {str(name): value for name, value in found.items() if isinstance(value, StoredTensor)}
    _log_choice(source, file.format, place, other, averaged)

    entries = _collect(source, tensors)
    network = create_model(backbone, 1)
    expected = {parameter.name: tuple(parameter.shape) for parameter in network.get_parameters()}
    num_classes = (entries["fc.weight"].shape or (1,))[0] if "fc.weight" in entries else 1
    for name in ("fc.weight", "fc.bias"):
        expected[name] = (num_classes, *expected[name][1:])
    _check_fit(source, backbone, entries, expected, tensors)
    values = {name: _values(source, name, shape, entries, tensors) for name, shape in expected.items()}
    _log_conversions(entries, tensors)
    metadata = _metadata(backbone, num_classes, file.metadata)
    metadata["source"] = {"file": source.name, "sha256": file_digest(source), "format": file.format}
    return values, metadata, describe_difference(tensors)


def _log_choice(source: Path, file_format: str, place: str, other: str, averaged: bool) -> None:
    log.info("%s: %s%s", source, file_format, f", weights in '{place}'" if place else "")
    if other and averaged:
        log.info("averaged weights taken, as --ema asks; the file has others in '%s'", other)
    elif other:
        log.info("the file has averaged weights too ('%s'); --ema takes those", other)


def _collect(source: Path, tensors: dict) -> dict:
    """Our names -> entries, without counters and optimizer state. Raises UserError where two weights get one name."""
    state = {name: None for name in tensors if is_training_state(name, tensors)}
    if state:
        log.info("%d tensors of an optimizer are left out, first %s", len(state), ascii(next(iter(state))))
    groups: dict = {}
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
                names = _first([name for _, name in members])
                raise UserError(f"{source}: {len(members)} tensors would be {target}: {names}; they do not add up to one")
        names = [name for _, name in members]
        entries[target] = _Entry(names, [tensors[name] for name in names])
    joined = sum(len(entry.parts) > 1 for entry in entries.values())
    if joined:
        log.info("%d grouped convolutions joined, which the file has group by group", joined)
    return entries


def _check_fit(source: Path, backbone: str, entries: dict, expected: dict, names: Collection) -> None:
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


def _has_shape(entry: _Entry, shape: tuple) -> bool:
    """A linear layer's weight (O, I) fits a 1x1 convolution's (O, I, 1, 1) too."""
    if len({part.shape for part in entry.parts}) > 1 or 0 in shape:
        return False
    return entry.shape == shape or len(entry.shape) == 2 and (*entry.shape, 1, 1) == shape


def _is_zero(name: str, names: Collection) -> bool:
    return name.endswith((".conv2.fc1.bias", ".conv2.fc2.bias")) and may_lack_biases(names)


def _values(source: Path, name: str, shape: tuple, entries: dict, names: Collection) -> np.ndarray:
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
    if has_larger_epsilon(entry.sources[0], names):
        values = values + np.float32(EPSILON_DIFFERENCE)
    return np.ascontiguousarray(values.reshape(shape))


def _log_conversions(entries: dict, names: Collection) -> None:
    dtypes = [part.dtype for entry in entries.values() for part in entry.parts]
    for dtype in _FLOATS[1:]:
        if dtype in dtypes:
            log.info("%d of %d tensors converted from %s to float32", dtypes.count(dtype), len(dtypes), dtype)
    shifted = sum(has_larger_epsilon(name, names) for name in names)
    if shifted:
        log.info(
            "%d variances raised by %g: the file's network normalises with epsilon 1e-4, ours with 1e-5",
            shifted, EPSILON_DIFFERENCE,
        )  # fmt: skip
    if may_lack_biases(names):
        log.info("biases of split attention set to zero: the file's network has none")


def _metadata(backbone: str, num_classes: int, stored: dict) -> dict:
    """What the checkpoint says of itself: classes and preprocessing of a file of ours, ImageNet's usual ones otherwise."""
    size = find_model(backbone).image_size
    # torchvision's and timm's weights were evaluated on images that Pillow resized
    preprocessing = preprocessing_from(build_config({"image_size": (size, size), "eval_antialias": True}))
    class_names = stored.get("class_names", [])
    if "preprocessing" in stored:
        preprocessing = Preprocessing.from_dict(stored["preprocessing"])
    else:
        log.info(
            "preprocessing taken to be torchvision's: shorter side %d, crop %d, ImageNet's mean and std; "
            "--eval_resize, --mean, --std of eval.py change it", preprocessing.resize, size,
        )  # fmt: skip
    return {
        "backbone": backbone,
        "num_classes": num_classes,
        "class_names": class_names if isinstance(class_names, list) and len(class_names) == num_classes else [],
        "preprocessing": preprocessing.to_dict(),
    }


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _first(names: list) -> str:
    return first_of([_printable(name) for name in names])


def write_checkpoint(values: dict, metadata: dict, output: Path) -> None:
    """Writes a checkpoint of ours. Raises UserError where that fails."""
    from src import checkpoint

    checkpoint.save(network_with(values, metadata), output, metadata)


def network_with(values: dict, metadata: dict):
    """The network that the metadata names, with these weights, in evaluation mode."""
    import mindspore as ms

    network = create_model(metadata["backbone"], metadata["num_classes"])
    for parameter in network.get_parameters():
        parameter.set_data(ms.Tensor(values[parameter.name]))
    return network.set_train(False)


def write_safetensors(values: dict, metadata: dict, output: Path) -> None:
    """Writes what torchvision's and timm's `load_state_dict` take: float32, and PyTorch's counters of batches, zero.

    Raises:
        UserError: the file cannot be written.
    """
    import safetensors.numpy

    counters = {
        f"{name.rpartition('.')[0]}.num_batches_tracked": np.zeros((), np.int64)
        for name in values
        if name.endswith(".running_var")
    }
    text = {"format": "pt", "resnet_zoo": json.dumps(metadata)}
    content = safetensors.numpy.save({**values, **counters}, text)
    with replacing(output) as temporary:
        temporary.write_bytes(content)


_WRITERS = {".ckpt": write_checkpoint, ".safetensors": write_safetensors}


def main(arguments: list) -> int:
    """The command."""
    from src.runlog import start_log

    parser = CommandParser(prog="python -m src.models.weights", description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", required=True, help="network; python -m src.models lists them")
    parser.add_argument("--source", type=Path, required=True, help="file to read: PyTorch's, safetensors or .ckpt")
    parser.add_argument("--output", type=Path, required=True, help="file to write: .ckpt, or .safetensors for PyTorch")
    parser.add_argument("--ema", action="store_true", help="take the averaged weights (EMA) that the file has beside others")
    parser.add_argument("--verify", action="store_true", help="compare the logits with torchvision's or timm's network")
    options = parser.parse_args(arguments)
    find_model(options.backbone)
    backbone = canonical_name(options.backbone)
    if options.output.suffix not in _WRITERS:
        raise UserError(f"output: '{options.output}' must end in {' or '.join(_WRITERS)}")
    start_log()
    device.prepare(build_config({"platform": "CPU"}))

    from src.models import weight_verification

    if options.verify:
        weight_verification.check_installed(backbone)
    values, metadata, difference = read_weights(backbone, options.source, options.ema)
    if difference:
        log.warning("%s; logits differ from the source's: evaluate before use, or train on", difference)
    if options.verify:
        weight_verification.verify(values, metadata, options.source, options.ema)
    _WRITERS[options.output.suffix](values, metadata, options.output)
    log.info("%s: %s, %d classes, %d tensors", options.output, backbone, metadata["num_classes"], len(values))
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
