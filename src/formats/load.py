"""Turns a file into a classifier, told apart by the ending: a checkpoint, an export or weights of PyTorch programs."""

from pathlib import Path

import mindspore as ms

from .. import checkpoint
from ..config import Config
from ..data.preprocessing import preprocessing_for
from ..errors import UserError
from ..log import log
from ..model_info import meta_path, read_meta
from ..models.create import create_model
from ..weights.importing import read_weights
from ..weights.writing import network_with
from .classifier import Classifier, LoadedClassifier, in_batches_of
from .keyfile import read_key
from .mindir import open_mindir
from .onnx import open_onnx


def load_classifier(path: Path, config: Config) -> LoadedClassifier:
    """Loads a network.

    Raises:
        UserError: unknown ending, no such file, damaged, or not what `backbone` and `num_classes` ask for.
    """
    loaders = {".ckpt": _load_checkpoint, ".mindir": _load_mindir, ".onnx": _load_onnx}
    loaders.update(dict.fromkeys(checkpoint.FOREIGN_ENDINGS, _load_weights))
    if path.suffix == ".om":
        raise UserError(
            f"pretrained: '{path}' runs on Ascend only; there, bash scripts/run_infer_310.sh {path} DATA_PATH evaluates it"
        )
    if path.suffix not in loaders:
        raise UserError(f"pretrained: '{path}' must end in {', '.join(loaders)} or be a folder of checkpoints")
    if not path.is_file():
        raise UserError(f"pretrained: no such file '{path}'")
    classify, metadata = loaders[path.suffix](path, config)
    num_classes = metadata.get("num_classes", config.num_classes)
    return LoadedClassifier(
        classify, tuple(metadata.get("class_names", ())), num_classes, preprocessing_for(config, metadata), metadata
    )


def restore_network(path: Path, config: Config) -> tuple:
    """The network of a checkpoint, in evaluation mode, and the checkpoint's metadata.

    Name, number of classes and padding come from the checkpoint; for a file without metadata, the first two come from the
    configuration.
    """
    saved = checkpoint.load(path)
    if config.use_ema:
        saved = saved.averaged()
    _check_as_asked(path, config, saved.metadata)
    name = saved.metadata.get("backbone", config.backbone)
    num_classes = saved.metadata.get("num_classes", config.num_classes)
    network = create_model(name, num_classes, config.group_conv, padding=saved.padding)
    checkpoint.load_into(network, saved)
    return network.set_train(False), saved.metadata


def _check_as_asked(path: Path, config: Config, metadata: dict) -> None:
    for key in ("backbone", "num_classes"):
        asked = getattr(config, key)
        if key in config.given and metadata.get(key, asked) != asked:
            raise UserError(f"{key}: {asked} was asked for, but {path} holds {metadata[key]}")


def _load_checkpoint(path: Path, config: Config) -> tuple:
    network, metadata = restore_network(path, config)
    return lambda images: network(ms.Tensor(images)).asnumpy(), metadata


def _load_weights(path: Path, config: Config) -> tuple:
    if "backbone" not in config.given:
        raise UserError(f"backbone: '{path}' does not tell its network; pass --backbone NAME")
    values, metadata = read_weights(config.backbone, path, config.use_ema)
    _check_as_asked(path, config, metadata)
    network = network_with(values, metadata)
    return lambda images: network(ms.Tensor(images)).asnumpy(), metadata


def _load_mindir(path: Path, config: Config) -> tuple:
    metadata = _meta_of(path, config)
    encrypted = metadata.get("encryption") if metadata else config.enc_key_file
    if encrypted and not config.enc_key_file:
        raise UserError(f"{path}: encrypted ({encrypted}); pass the file of its key with --enc_key_file")
    key = read_key(Path(config.enc_key_file)) if encrypted else None
    return _of_its_batch_size(open_mindir(path, key), metadata), metadata


def _load_onnx(path: Path, config: Config) -> tuple:
    metadata = _meta_of(path, config)
    return _of_its_batch_size(open_onnx(path), metadata), metadata


def _of_its_batch_size(classify: Classifier, metadata: dict) -> Classifier:
    """A classifier for any number of images, also where the file takes batches of one size only."""
    batch_size = metadata.get("input", {}).get("shape", ["N"])[0]
    return in_batches_of(batch_size, classify) if isinstance(batch_size, int) else classify


def _meta_of(path: Path, config: Config) -> dict:
    metadata = read_meta(path)
    if not metadata:
        log.info("%s: no %s beside it; preprocessing and classes are those of the configuration", path, meta_path(path).name)
    _check_as_asked(path, config, metadata)
    return metadata
