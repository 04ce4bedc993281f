"""8-bit ONNX files: weights per output channel, activations per tensor, with the ranges seen on calibration images."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from src.config import Config
from src.data.index import ImageIndex, index_folder, index_unlabelled
from src.data.pipeline import eval_pipeline, read_batches
from src.data.preprocessing import Preprocessing
from src.data.scan import usable_images
from src.device import worker_count
from src.errors import UserError
from src.evaluation.evaluate import classified_batches, fill_up
from src.evaluation.metrics import Counts

_BATCH = 8  # images; calibration keeps the activations of one batch in memory


def calibration_images(config: Config) -> ImageIndex:
    """The images of `calibration_dir`: with labels when it is a folder of class folders, else without.

    Raises:
        UserError: no such folder, no images, or images that cannot be decoded (`scan` and `bad_images` say what then).
    """
    if not config.calibration_dir:
        raise UserError("calibration_dir: no value; int8 needs images to calibrate with: pass --calibration_dir FOLDER")
    root = Path(config.calibration_dir)
    index = index_unlabelled(root, "calibration_dir")
    if all("/" in file for file in index.files):
        index = index_folder(root)
    workers = worker_count(config.num_parallel_workers)
    return usable_images(index, config.scan, config.bad_images, Path(config.cache_dir), workers)


def spread(index: ImageIndex, count: int) -> ImageIndex:
    """At most `count` images, evenly spread over the index, which is sorted by class."""
    positions = np.unique(np.linspace(0, len(index) - 1, min(count, len(index))).round().astype(int))
    return index.select(positions)


def calibration_batches(index: ImageIndex, preprocessing: Preprocessing, workers: int, size: int) -> Iterator[np.ndarray]:
    """Batches of preprocessed images, float32 (N, 3, H, W); `size` 0: of any size, else the last one is filled up."""
    for images, _ in read_batches(eval_pipeline(index, preprocessing, size or _BATCH, workers)):
        yield fill_up(images, size) if size else images


def quantize(source: Path, target: Path, batches: Iterable[np.ndarray]) -> None:
    """Writes the 8-bit form of an ONNX file, with pairs of QuantizeLinear and DequantizeLinear (QDQ, opset 13).

    Weights are int8, activations uint8: the pair that AVX512-VNNI and AVX-VNNI multiply in one instruction. Processors
    without either may saturate 16-bit sums.

    Args:
        source: float32 ONNX file with input "input".
        batches: what to calibrate with, float32 (N, 3, H, W).
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        """onnxruntime's form of an iterator."""

        def __init__(self):
            self.batches = iter(batches)

        def get_next(self):
            """The next batch by input name, None at the end."""
            images = next(self.batches, None)
            return None if images is None else {"input": images}

    prepared = target.with_suffix(".prepared.onnx")
    try:
        # Scales per channel came with opset 13.
        onnx.save(onnx.version_converter.convert_version(onnx.load(str(source)), 13), str(prepared))
        quant_pre_process(str(prepared), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
    finally:
        prepared.unlink(missing_ok=True)
    model = onnx.load(str(target))
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)  # onnxruntime lists every domain that it knows
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(target))


def compare(
    classifiers: dict, index: ImageIndex, preprocessing: Preprocessing, batch_size: int, workers: int
) -> tuple:
    """Runs two classifiers over the same images.

    Args:
        classifiers: name -> classifier, two of them.
        index: the images; without labels (-1) only the agreement is computed.

    Returns:
        Name -> {"images", "top1", "top5"} (shares; empty without labels), and the share of images for which both put the
        same class first.
    """
    first, second = classifiers.values()

    def both(images: np.ndarray) -> np.ndarray:
        return np.stack([first(images), second(images)], 1)

    counts, equal = [Counts(), Counts()], 0
    labelled = bool((index.labels >= 0).all())
    for logits, labels in classified_batches(both, index, preprocessing, batch_size, workers):
        equal += int((logits[:, 0].argmax(1) == logits[:, 1].argmax(1)).sum())
        for number, count in enumerate(counts):
            if labelled:
                count.add(logits[:, number], labels)
    accuracy = {
        name: {"images": count.images, "top1": count.top1 / count.images, "top5": count.top5 / count.images}
        for name, count in zip(classifiers, counts)
        if labelled
    }
    return accuracy, equal / len(index)
