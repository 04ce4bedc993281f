"""Writes a checkpoint as MINDIR, ONNX, AIR or OM and compares the file's answers with the network's."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray

from ..checkpoint import Checkpoint
from ..config import Config
from ..data.class_names import class_names_from, class_names_of
from ..data.datasets import open_evaluation_data
from ..data.index import ImageIndex
from ..data.preprocessing import preprocessing_for
from ..device import worker_count
from ..errors import UserError
from ..evaluation.model_files import labels_for
from ..files import is_utf8, replacing
from ..formats.aipp import input_of
from ..formats.air import write_air
from ..formats.classifier import Classifier, LoadedClassifier, in_batches_of
from ..formats.fold import prepare_for_inference
from ..formats.keyfile import ENCRYPTION, read_key
from ..formats.lite import check_lite_options, write_lite
from ..formats.mindir import open_mindir, write_mindir
from ..formats.om import AMCT_BATCH, calibration_folder, check_om_options, write_om
from ..formats.onnx import open_onnx, write_onnx
from ..formats.opening import restore_network
from ..formats.quantize import quantize
from ..log import log
from ..model_info import Accuracy, ModelInfo, Origin, Preprocessing, Quantization, TensorInfo, write_meta
from ..weights.listing import is_published
from .calibration import calibration_batches, calibration_images, compare, spread

BATCH_SIZES = (1, 3)  # what the comparison runs with where the export takes any
LARGEST_DIFFERENCE = 1e-3  # of a logit; more, and the export fails
NOTICEABLE_LOSS = 0.01  # of top-1 by quantizing


def export(config: Config, platform: str) -> Path:
    """Exports `config.ckpt_file` in `config.file_format`, beside it `<file>.meta.json`.

    An OM, and a MINDIR for MindSpore Lite, is made from an ONNX file, which stays beside it.

    Returns:
        The file written; with `atc: script` or `converter_lite: script` the one that the script will write.

    Raises:
        UserError: the checkpoint cannot be used, the format needs another platform, keys contradict each other, or the
            file's answers differ from the network's by more than `LARGEST_DIFFERENCE`; no model is left behind then.
    """
    _check(config, platform)
    source = Path(config.ckpt_file)
    key = read_key(Path(config.enc_key_file)) if config.enc_key_file else None
    calibration = calibration_images(config) if config.quantize != "none" else None
    network, saved = restore_network(source, config)
    names = class_names_from(config.class_names) or saved.info.class_names
    if odd := next((name for name in names if not is_utf8(name)), None):
        raise UserError(f"ckpt_file: {source}: the class name {ascii(odd)} is not UTF-8; rename its folder and train again")
    preprocessing = preprocessing_for(config, saved.info.preprocessing)
    target = _target(config, Path(saved.path.name) if is_published(config.ckpt_file) else source)
    convert = _converter(config)
    written = target.with_suffix(".onnx") if convert else target
    kind = written.suffix[1:].upper()
    batch_size = _batch_size(config)
    shape = (preprocessing.channels, *preprocessing.image_size)
    sizes = [batch_size] if batch_size else list(BATCH_SIZES)
    samples = [np.random.default_rng(size).standard_normal((size, *shape), np.float32) for size in sizes]
    expected = [network(ms.Tensor(sample)).asnumpy().copy() for sample in samples]
    info = _description(config, saved, kind, preprocessing, batch_size, expected[0].shape[1])
    with replacing(written) as temporary:
        classify = _write(prepare_for_inference(network), kind, shape, batch_size, temporary, key)
        if classify:
            difference = _verified_difference(classify, samples, expected, target)
            info = info.model_copy(update={"max_abs_diff": difference, "compared_batch_sizes": tuple(sizes)})
        if calibration and kind == config.file_format:
            info = info.model_copy(update={"quantization": _quantize(temporary, config, calibration, info)})
        write_meta(written, info, temporary)  # before the file: it is never without
    if kind == "AIR":
        log.info("%s: not compared with the network, because AIR files run on Ascend's own runtime only", written)
    else:
        what = "before quantizing, logits" if calibration else "logits"
        batches = " and ".join(map(str, sizes))
        log.info("%s: %s within %.3g of the network's (batches of %s)", written, what, info.max_abs_diff, batches)
    if convert:
        if calibration:
            _write_calibration(calibration_folder(target), config, calibration, preprocessing)
        convert(config, target, written, preprocessing, info)
    return target


def _converter(config: Config) -> Optional[Callable[[Config, Path, Path, Preprocessing, ModelInfo], None]]:
    """What makes the file from an ONNX file; None where MindSpore writes it."""
    if config.file_format == "OM":
        return write_om
    return write_lite if config.file_format == "MINDIR" and config.converter_lite != "none" else None


def _batch_size(config: Config) -> int:
    """Images per batch of what MindSpore writes; 0: any. A converter for a processor sets the batch by itself."""
    if config.file_format == "OM" or (_converter(config) and config.soc_version):
        return 0
    return config.batch_size[0] or (1 if config.file_format == "AIR" else 0)


def _check(config: Config, platform: str) -> None:
    """What can be refused before anything is loaded."""
    kind = config.file_format
    if not config.ckpt_file:
        raise UserError("ckpt_file: no value; pass --ckpt_file CHECKPOINT")
    if kind == "AIR" and platform != "Ascend":
        raise UserError(f"file_format: AIR can be written on Ascend only, this is {platform}; use MINDIR or ONNX")
    if config.converter_lite != "none":
        if kind != "MINDIR":
            raise UserError(f"converter_lite: writes MINDIR only, file_format is {kind}; pass --file_format MINDIR")
        check_lite_options(config)
    if kind == "OM":
        check_om_options(config)
    elif _converter(config) and config.soc_version:
        pass  # for a processor: several sizes are possible
    elif len(config.batch_size) != 1:
        sizes = ",".join(map(str, config.batch_size))
        raise UserError(f"batch_size: {kind} takes one number, or 0 for any, got '{sizes}'; several are for OM")
    if config.quantize == "int8" and kind != "ONNX":
        raise UserError(f"quantize: int8 is written as ONNX only, file_format is {kind}; pass --file_format ONNX")
    if config.quantize == "amct" and kind != "OM":
        raise UserError(f"quantize: amct makes an OM, file_format is {kind}; pass --file_format OM, or --quantize int8")
    if config.enc_key_file and kind != "MINDIR":
        raise UserError(f"enc_key_file: only MINDIR can be encrypted, file_format is {kind}")


def _description(
    config: Config, saved: Checkpoint, kind: str, preprocessing: Preprocessing, batch_size: int, num_classes: int
) -> ModelInfo:
    """What the file will say of itself, but how it compares with the network."""
    image = input_of("none", preprocessing.image_size, preprocessing.channels)
    run = saved.run
    described = ModelInfo(
        file_format=kind,
        backbone=saved.info.backbone or config.backbone,
        num_classes=num_classes,
        class_names=class_names_of(saved.path, num_classes, config.class_names, saved.info.class_names),
        preprocessing=preprocessing,
        input=image.model_copy(update={"shape": (batch_size or "N", *image.shape[1:])}),
        output=TensorInfo(name="output1", shape=(batch_size or "N", num_classes), dtype="float32"),
        max_abs_diff=None,
        compared_batch_sizes=(),
        checkpoint=Origin(
            file=saved.path.name,
            epoch=run.epoch if run else None,
            step=run.step if run else None,
            evaluation=run.evaluation if run else None,
        ),
        mindspore=ms.__version__,
    )
    return described.model_copy(update={"encryption": ENCRYPTION}) if config.enc_key_file else described


def _target(config: Config, source: Path) -> Path:
    ending = "." + config.file_format.lower()
    if not config.file_name:
        return source.with_name(source.stem + ("_int8" if config.quantize == "int8" else "") + ending)
    target = Path(config.file_name)
    return target if target.suffix == ending else target.with_name(target.name + ending)


def _write(
    network: nn.Cell, kind: str, shape: tuple[int, ...], batch_size: int, path: Path, key: Optional[bytes]
) -> Optional[Classifier]:
    """Writes a file and opens it again; nothing here opens an AIR."""
    if kind == "AIR":
        write_air(network, shape, batch_size, path)
        return None
    if kind == "ONNX":
        write_onnx(network, shape, batch_size, path)
        return open_onnx(path)
    write_mindir(network, shape, batch_size, path, key)
    return open_mindir(path, key)


def _verified_difference(
    classify: Classifier, samples: list[NDArray[np.float32]], expected: list[NDArray[np.float32]], target: Path
) -> float:
    difference = largest_difference(classify, samples, expected)
    if not difference <= LARGEST_DIFFERENCE:
        raise UserError(
            f"{target}: not written: its logits differ from the network's by {difference:g}, "
            f"more than {LARGEST_DIFFERENCE:g}"
        )
    return difference


def largest_difference(
    classify: Classifier, samples: list[NDArray[np.float32]], expected: list[NDArray[np.float32]]
) -> float:
    """Largest absolute difference between a classifier's logits and the expected ones over all batches."""
    return max(float(np.abs(classify(sample) - logits).max()) for sample, logits in zip(samples, expected))


def _quantize(path: Path, config: Config, calibration: ImageIndex, info: ModelInfo) -> Quantization:
    """Replaces an ONNX file by its 8-bit form; logs and returns how the two compare.

    They are compared on `data_dir`, or else on the calibration images.
    """
    preprocessing, batch_size, num_classes = info.preprocessing, info.input and info.input.shape[0], info.num_classes
    assert preprocessing and batch_size and num_classes, "`_description` gives them"
    workers = worker_count(config.num_parallel_workers)
    float_file = path.rename(path.with_suffix(".float.onnx"))
    network = LoadedClassifier(open_onnx(float_file), info.class_names, num_classes, preprocessing, info)
    if config.data_dir:
        index = labels_for(network, open_evaluation_data(config, workers))
    else:
        index = _with_usable_labels(calibration, network)
    used = spread(calibration, config.calibration_images)
    fixed_size = 0 if batch_size == "N" else batch_size
    quantize(float_file, path, calibration_batches(used, preprocessing, workers, fixed_size))
    classifiers = {"float32": network.classify, "int8": open_onnx(path)}
    if fixed_size:
        classifiers = {name: in_batches_of(fixed_size, classify) for name, classify in classifiers.items()}
    accuracy, agreement = compare(classifiers, index, preprocessing, config.eval_batch_size, workers)
    where = f"{index.root}" if config.data_dir else f"{index.root}, the folder of the calibration images"
    for name, result in accuracy.items():
        shares = 100 * result["top1"], 100 * result["top5"]
        log.info("%s: top-1 %.2f %% top-5 %.2f %% (%d images of %s)", name, *shares, result["images"], where)
    log.info("int8 puts the same class first as float32 on %.2f %% of %d images of %s", 100 * agreement, len(index), where)
    if accuracy and accuracy["float32"]["top1"] - accuracy["int8"]["top1"] > NOTICEABLE_LOSS:
        log.warning("int8 loses more than %g points of top-1; try other calibration images", 100 * NOTICEABLE_LOSS)
    checked: dict[Any, Accuracy] = {name: Accuracy.model_validate(result) for name, result in accuracy.items()}
    return Quantization(
        weights="int8 per output channel",
        activations="uint8",
        calibration_images=len(used),
        compared_on=str(index.root),
        accuracy=checked,
        same_top1=agreement,
    )


def _write_calibration(folder: Path, config: Config, calibration: ImageIndex, preprocessing: Preprocessing) -> None:
    """The images that AMCT calibrates with, as its `--data_dir` takes them: whole batches, one file each."""
    used = spread(calibration, config.calibration_images)
    workers = worker_count(config.num_parallel_workers)
    folder.mkdir(exist_ok=True)
    for earlier in folder.glob("batch*.bin"):
        earlier.unlink()
    for number, images in enumerate(calibration_batches(used, preprocessing, workers, AMCT_BATCH)):
        (folder / f"batch{number:05}.bin").write_bytes(images.tobytes())
    log.info("%s: %d images in batches of %d for AMCT", folder, len(used), AMCT_BATCH)


def _with_usable_labels(calibration: ImageIndex, network: LoadedClassifier) -> ImageIndex:
    """The calibration images with the network's class numbers, or without labels where their folders are no classes."""
    if calibration.labels.min() < 0:
        return calibration
    try:
        return labels_for(network, calibration)
    except UserError as error:
        log.info("no accuracy is computed: %s", error)
        return replace(calibration, labels=np.full(len(calibration), -1, np.int32))
