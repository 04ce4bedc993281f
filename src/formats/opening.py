"""Turns a file into a classifier, told apart by the ending: a checkpoint, an export or weights of PyTorch programs."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mindspore as ms
from mindspore import nn
from numpy.typing import NDArray

from .. import checkpoint
from ..checkpoint import Checkpoint
from ..config import Config
from ..cpu.choice import choose_kernels
from ..data.class_names import class_names_of
from ..data.preprocessing import preprocessing_for
from ..errors import UserError
from ..log import log
from ..model_info import ModelInfo, Preprocessing, describe, meta_path
from ..models.blocked import plain
from ..models.create import create_model, folded_copy
from ..models.resnet import LastStageAndLogits
from ..weights.by_name import local_path
from ..weights.importing import read_weights
from ..weights.writing import network_with
from .ascendcl import open_om
from .classifier import Classifier, Inside, LoadedClassifier, checking_logits, in_batches_of, network_classifier
from .keyfile import read_key
from .lite import open_lite
from .mindir import open_mindir
from .onnx import open_onnx
from .onnx_inside import open_onnx_inside

_LARGEST_BATCH = 1 << 30  # numbers


def load_classifier(path: Path, config: Config) -> LoadedClassifier:
    """Loads a network.

    Raises:
        UserError: unknown ending, no such file, damaged, or not what `backbone` and `num_classes` ask for.
    """
    path = local_path(path, config.cache_dir)
    loaders = {".ckpt": _load_checkpoint, ".mindir": _load_mindir, ".onnx": _load_onnx, ".om": _load_om}
    loaders.update(dict.fromkeys(checkpoint.FOREIGN_ENDINGS, _load_weights))
    if path.suffix not in loaders:
        raise UserError(f"pretrained: '{path}' must end in {', '.join(loaders)} or be a folder of checkpoints")
    if not path.is_file():
        raise UserError(f"pretrained: no such file '{path}'")
    classify, info, inside = loaders[path.suffix](path, config)
    num_classes = info.num_classes or config.num_classes
    preprocessing = preprocessing_for(config, info.preprocessing)
    _check_input(path, config, info, preprocessing)
    classify = checking_logits(path, num_classes, classify)
    takes_bytes = config.device_normalization and path.suffix not in (".mindir", ".onnx", ".om")
    class_names = class_names_of(path, num_classes, config.class_names, info.class_names)
    return LoadedClassifier(classify, class_names, num_classes, preprocessing, info, takes_bytes, inside)


def restore_network(path: Path, config: Config) -> tuple[nn.Cell, Checkpoint]:
    """The network of a checkpoint, in evaluation mode, and the checkpoint.

    Name, number of classes and padding come from the checkpoint; where it says nothing, the first two come from the
    configuration.
    """
    saved = checkpoint.load(local_path(path, config.cache_dir))
    if config.use_ema:
        saved = saved.averaged()
    _check_as_asked(path, config, saved.info)
    name, num_classes = saved.info.backbone or config.backbone, saved.info.num_classes or config.num_classes
    in_channels = saved.info.in_channels or config.in_channels
    network = create_model(name, num_classes, config.group_conv, padding=saved.info.padding, in_channels=in_channels)
    checkpoint.load_into(network, saved)
    return network.set_train(False), saved


def _check_as_asked(path: Path, config: Config, info: ModelInfo) -> None:
    for key, found in (("backbone", info.backbone), ("num_classes", info.num_classes), ("in_channels", info.in_channels)):
        asked = getattr(config, key)
        if key in config.given and found not in (asked, None):
            raise UserError(f"{key}: {asked} was asked for, but {path} holds {found}")


def _check_input(path: Path, config: Config, info: ModelInfo, preprocessing: Preprocessing) -> None:
    """Raises UserError where an export does not take the images that the preprocessing gives."""
    shape = info.input.shape if info.input else ()
    if not shape or (info.input and info.input.dtype == "uint8"):  # of an OM, which is asked what it takes
        return
    size, taken = (",".join(map(str, numbers)) for numbers in (preprocessing.image_size, shape[2:]))
    if shape[1:] != (preprocessing.channels, *preprocessing.image_size):
        asked = "image_size" in config.given
        raise UserError(
            f"image_size: {size} was asked for, but {path} takes {taken}; leave it away, or export with --image_size {size}"
            if asked
            else f"{path}: says that it takes {taken} and that images become {size}; export the checkpoint again"
        )
    if shape[0] != "N" and math.prod(map(int, shape)) > _LARGEST_BATCH:
        raise UserError(f"{path}: says that it takes batches of {shape[0]} images, more than fit; export it again")


def inside_of(network: nn.Cell) -> Inside:
    """What lies before the logits of a network in evaluation mode."""
    both = LastStageAndLogits(network).set_train(False)

    def last_stage(images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        stage, logits = (output.asnumpy() for output in both(ms.Tensor(images)))
        return plain(stage), logits

    return Inside(last_stage, network.fc.weight.asnumpy())


_Loaded = tuple[Classifier, ModelInfo, Callable[[], Inside]]


def _of_network(network: nn.Cell, name: str, info: ModelInfo, config: Config) -> _Loaded:
    if choose_kernels(config, ms.get_context("device_target")) == "blocked":
        network = folded_copy(network, name)
    return network_classifier(network, preprocessing_for(config, info.preprocessing)), info, lambda: inside_of(network)


def _load_checkpoint(path: Path, config: Config) -> _Loaded:
    network, saved = restore_network(path, config)
    return _of_network(network, saved.info.backbone or config.backbone, saved.info, config)


def _load_weights(path: Path, config: Config) -> _Loaded:
    if "backbone" not in config.given:
        raise UserError(f"backbone: '{path}' does not tell its network; pass --backbone NAME")
    in_channels = config.in_channels if "in_channels" in config.given else None
    values, info = read_weights(config.backbone, path, config.use_ema, in_channels=in_channels)
    _check_as_asked(path, config, info)
    assert info.backbone, "weights are read for a network"
    return _of_network(network_with(values, info), info.backbone, info, config)


def _load_mindir(path: Path, config: Config) -> _Loaded:
    info = _described(path, config)
    if info.onnx:
        lite = open_lite(path, info, preprocessing_for(config, info.preprocessing), config)
        return lite, info, _logits_alone(path, "MINDIR")
    encrypted = config.enc_key_file if info == ModelInfo() else info.encryption
    if encrypted and not config.enc_key_file:
        raise UserError(f"{path}: encrypted ({encrypted}); pass the file of its key with --enc_key_file")
    key = read_key(Path(config.enc_key_file)) if encrypted else None
    return _of_its_batch_size(open_mindir(path, key), info), info, _logits_alone(path, "MINDIR")


def _logits_alone(path: Path, kind: str) -> Callable[[], Inside]:
    def inside() -> Inside:
        raise UserError(f"{path}: a {kind} gives logits alone; pass the checkpoint or an ONNX file to see more of it")

    return inside


def _load_onnx(path: Path, config: Config) -> _Loaded:
    info = _described(path, config)
    batch_size = _batch_size(info)
    return _of_its_batch_size(open_onnx(path), info), info, lambda: open_onnx_inside(path, batch_size)


def _batch_size(info: ModelInfo) -> int:
    """Images per batch that an export takes; 0: any number."""
    size = info.input.shape[0] if info.input and info.input.shape else "N"
    return 0 if size == "N" else int(size)


def _load_om(path: Path, config: Config) -> _Loaded:
    info = _described(path, config)
    described_format = info.input.format if info.input else None
    classify = open_om(path, preprocessing_for(config, info.preprocessing), config.device_id, described_format)
    return classify, info, _logits_alone(path, "file for Ascend")


def _of_its_batch_size(classify: Classifier, info: ModelInfo) -> Classifier:
    """A classifier for any number of images, also where the file takes batches of one size only."""
    batch_size = _batch_size(info)
    return in_batches_of(batch_size, classify) if batch_size else classify


def _described(path: Path, config: Config) -> ModelInfo:
    info = describe(path)
    if info == ModelInfo():
        log.info("%s: no %s beside it; preprocessing and classes are those of the configuration", path, meta_path(path).name)
    _check_as_asked(path, config, info)
    return info
