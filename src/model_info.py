"""What a model file says of itself, typed and checked once; `describe` is the way in for every kind of file.

A checkpoint says it in its metadata, an export (.onnx, .mindir, .air, .om) in `<model>.meta.json` beside it. Both are JSON
with the keys of `ModelInfo`; other keys are passed over. The C++ program reads the same descriptions (`ModelMeta`).
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

from pydantic import BeforeValidator, Field, model_validator

from .checkpoint_file import Tensor, read_described
from .described import (
    LARGEST_DESCRIPTION,
    AnyText,
    Classes,
    Count,
    Described,
    Flag,
    Fraction,
    Positive,
    Real,
    Side,
    Text,
    checked,
    parse_json,
)
from .errors import UserError
from .files import is_utf8, write_text

LARGEST_BATCH = 2048  # of an .om: ATC, --dynamic_batch_size


class Preprocessing(Described):
    """Decode to RGB, resize, center-crop, scale to 0..1, subtract mean, divide by std, channels first.

    Attributes:
        image_size: (height, width) of the crop in pixels.
        resize: how large the image becomes before the crop, in pixels. A number: its shorter side with mode "shorter", both
            sides with mode "square". A pair (height, width), for crops that are not square: with mode "shorter" the
            smallest size that covers the pair (`covering_size`), with mode "square" the pair itself.
        resize_mode: "shorter" keeps the aspect ratio, "square" does not.
        antialias: Pillow's bilinear filter, which averages when it shrinks, instead of OpenCV's, which samples.
        mean, std: per channel, red, green, blue, or of gray images the one, for pixels scaled to 0..1.
    """

    image_size: tuple[Side, Side]
    resize: Union[Side, tuple[Side, Side]]
    resize_mode: Literal["shorter", "square"]
    antialias: Flag
    mean: tuple[Real, ...]
    std: tuple[Positive, ...]

    @property
    def channels(self) -> int:
        """Of the network's input: 3, or 1 for gray (luma of ITU-R BT.601, as Pillow computes it)."""
        return len(self.mean)

    @model_validator(mode="after")
    def _check(self) -> "Preprocessing":
        sides = self.resize if isinstance(self.resize, tuple) else (self.resize, self.resize)
        crop = self.image_size if isinstance(self.resize, tuple) else (max(self.image_size),) * 2
        if sides[0] < crop[0] or sides[1] < crop[1]:
            raise ValueError(f"resize: {self.resize} is smaller than the crop, image_size {self.image_size}")
        if len(self.mean) not in (1, 3):
            raise ValueError(f"mean: expected three numbers, or one for gray images, got {len(self.mean)}")
        if len(self.std) != len(self.mean):
            raise ValueError(f"std: {len(self.std)} numbers, but mean has {len(self.mean)}")
        return self


class TensorInfo(Described):
    """Input or output of an export. `shape`: "N" stands for any; `format`: of uint8 images, as AIPP calls it."""

    shape: Annotated[tuple[Union[Literal["N"], Classes], ...], Field(max_length=8)]
    name: Optional[Text] = None
    dtype: Optional[Text] = None
    format: Optional[Text] = None


class Evaluation(Described):
    """An evaluation while training: what `evaluate` counted, after which epoch and step."""

    epoch: Count
    step: Count
    images: Count
    top1_correct: Count
    top5_correct: Count
    top1: Fraction
    top5: Fraction
    img_per_s: Real
    own_counts: tuple[Count, Count, Count]
    macro_recall: Optional[Fraction] = None


LastEvaluation = Annotated[Optional[Evaluation], BeforeValidator(lambda value: None if value == {} else value)]


class Best(Described):
    """The highest top-1 of a run so far, a share from 0 to 1 (-1: none yet), and after which epoch and step."""

    top1: Real = -1.0
    epoch: Optional[Count] = None
    step: Optional[Count] = None


class Source(Described):
    """The file of another program that weights were imported from."""

    file: AnyText
    sha256: Text
    format: Text


class Origin(Described):
    """The checkpoint that an export was made from."""

    file: AnyText
    epoch: Optional[Count] = None
    step: Optional[Count] = None
    evaluation: LastEvaluation = None


class OnnxOrigin(Described):
    """The ONNX file that an OM was made from."""

    file: AnyText
    max_abs_diff: Optional[Real] = None


class Accuracy(Described):
    """Shares of images whose class came first, or among the first five."""

    images: Count
    top1: Fraction
    top5: Fraction


class Quantization(Described):
    """How an 8-bit file was made, and how it compares with the float one. `same_top1`: share of images of the same class."""

    weights: Text
    activations: Text
    calibration_images: Count
    compared_on: AnyText
    accuracy: dict[Literal["float32", "int8"], Accuracy]
    same_top1: Fraction


class ModelInfo(Described):
    """What a file says of itself as a model. What it does not say has the default; a file of another program says nothing.

    Attributes:
        padding: where strided windows of the network lie (`ResNetSpec`).
        class_names: name of every class; empty where they are not known.
        averaged: the weights are the averages over the training (EMA).
        source: where imported weights come from.
        batch_sizes: those that an OM takes.
        max_abs_diff: largest difference of a logit to the network's, over batches of `compared_batch_sizes`.
        checkpoint, onnx: what an export was made from.
        mindspore: version that wrote the file.
    """

    backbone: Optional[Text] = None
    num_classes: Optional[Classes] = None
    padding: Text = "symmetric"
    class_names: tuple[AnyText, ...] = ()
    preprocessing: Optional[Preprocessing] = None
    averaged: Flag = False
    source: Optional[Source] = None
    file_format: Optional[Text] = None
    input: Optional[TensorInfo] = None
    output: Optional[TensorInfo] = None
    batch_sizes: Optional[tuple[Annotated[Classes, Field(le=LARGEST_BATCH)], ...]] = None
    max_abs_diff: Optional[Real] = None
    compared_batch_sizes: tuple[Count, ...] = ()
    encryption: Optional[Text] = None
    quantization: Optional[Quantization] = None
    soc_version: Optional[Text] = None
    checkpoint: Optional[Origin] = None
    onnx: Optional[OnnxOrigin] = None
    mindspore: Optional[Text] = None

    @property
    def in_channels(self) -> Optional[int]:
        """Channels of the images that the network takes; None where nothing is said."""
        return self.preprocessing.channels if self.preprocessing else None

    @model_validator(mode="after")
    def _check(self) -> "ModelInfo":
        if self.class_names and self.num_classes and len(self.class_names) != self.num_classes:
            raise ValueError(f"class_names: {len(self.class_names)} names for num_classes {self.num_classes}")
        return self


def describe(path: Path) -> ModelInfo:
    """What a .ckpt, .onnx, .mindir, .air or .om file says of itself; of an export without description: nothing.

    Raises:
        UserError: no such file; damaged, or not the file that its description is of; or a description that makes no sense.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    if path.suffix == ".ckpt":
        return describe_checkpoint(path)[1]
    file = meta_path(path)
    if not file.is_file():
        return ModelInfo()
    with open(file, "rb") as stream:
        content = stream.read(LARGEST_DESCRIPTION + 1)
    values = parse_json(content, file)
    missing = [key for key in ("sha256", "num_classes", "class_names", "preprocessing") if values.get(key) is None]
    if missing:
        raise UserError(f"{file}: cannot be used: it lacks {missing[0]}; export the checkpoint again")
    info = checked(ModelInfo, values, file)
    if odd := next((name for name in info.class_names if not is_utf8(name)), None):
        raise UserError(f"{file}: cannot be used: the class name {odd!r} is not UTF-8; export the checkpoint again")
    if values["sha256"] != file_digest(path):
        raise UserError(f"{path}: damaged or replaced: its checksum is not the one in {file.name}; export it again")
    return info


def describe_checkpoint(path: Path) -> tuple[dict[str, Tensor], ModelInfo, dict[str, Any]]:
    """The tensors of a checkpoint by name, those of training too, and what it says of itself, typed and all of it.

    Raises:
        UserError: damaged, changed since it was written, or a description that makes no sense.
    """
    tensors, text = read_described(path)
    values = {} if text is None else parse_json(text, path)
    info = checked(ModelInfo, values, path)
    classifier = tensors.get("fc.weight")
    if classifier and info.num_classes and classifier.shape[:1] != (info.num_classes,):
        raise UserError(f"{path}: cannot be used: num_classes is {info.num_classes}, fc.weight has {classifier.shape}")
    return tensors, info, values


def meta_path(model: Path) -> Path:
    """resnext.onnx -> resnext.onnx.meta.json."""
    return model.with_name(model.name + ".meta.json")


def write_meta(model: Path, info: ModelInfo, content: Optional[Path] = None) -> None:
    """Writes the description of an exported file, with the checksum of its `content`, which may still lie elsewhere."""
    write_text(meta_path(model), json.dumps({"sha256": file_digest(content or model), **info.to_dict()}, indent=2) + "\n")


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
