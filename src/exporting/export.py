"""Writes a checkpoint as MINDIR or ONNX and compares the file's answers with the network's."""

from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from src.config import Config
from src.data.preprocessing import preprocessing_for
from src.errors import UserError
from src.evaluation.classifiers import open_mindir, open_onnx, restore_network
from src.evaluation.evaluate import Classifier
from src.exporting.deploy import prepare_for_inference
from src.files import replacing
from src.meta import write_meta
from src.runlog import log

BATCH_SIZES = (1, 3)  # what the comparison runs with: the exports take any
LARGEST_DIFFERENCE = 1e-3  # of a logit; more, and the export fails


def export(config: Config, platform: str) -> Path:
    """Exports `config.ckpt_file` in `config.file_format`, beside it `<file>.meta.json`.

    Returns:
        The file written.

    Raises:
        UserError: the checkpoint cannot be used, the format needs another platform, or the file's answers differ from the
            network's by more than `LARGEST_DIFFERENCE`; nothing is left behind then.
    """
    if not config.ckpt_file:
        raise UserError("ckpt_file: no value; pass --ckpt_file CHECKPOINT")
    if config.file_format == "AIR" and platform != "Ascend":
        raise UserError(f"file_format: AIR can be written on Ascend only, this is {platform}; use MINDIR or ONNX")
    source = Path(config.ckpt_file)
    network, metadata = restore_network(source, config)
    preprocessing = preprocessing_for(config, metadata)
    shape = (3, *preprocessing.image_size)
    samples = [np.random.default_rng(size).standard_normal((size, *shape), np.float32) for size in BATCH_SIZES]
    expected = [network(ms.Tensor(sample)).asnumpy().copy() for sample in samples]

    ending = "." + config.file_format.lower()
    target = Path(config.file_name) if config.file_name else source.with_suffix(ending)
    if target.suffix != ending:
        target = target.with_name(target.name + ending)
    write, reopen = {"MINDIR": (_write_mindir, open_mindir), "ONNX": (_write_onnx, open_onnx), "AIR": (_write_air, None)}[
        config.file_format
    ]
    difference = None
    with replacing(target, suffix=ending) as temporary:
        write(prepare_for_inference(network), shape, temporary)
        if reopen:
            difference = largest_difference(reopen(temporary), samples, expected)
            if not difference <= LARGEST_DIFFERENCE:
                raise UserError(
                    f"{target}: not written: its logits differ from the network's by {difference:g}, "
                    f"more than {LARGEST_DIFFERENCE:g}"
                )
    class_count = int(expected[0].shape[1])
    write_meta(
        target,
        {
            "file_format": config.file_format,
            "backbone": metadata.get("backbone", config.backbone),
            "num_classes": class_count,
            "class_names": metadata.get("class_names", []),
            "preprocessing": preprocessing.to_dict(),
            "input": {"name": "input", "shape": ["N", *shape], "dtype": "float32"},
            "output": {"name": "output1", "shape": ["N", class_count], "dtype": "float32"},
            "max_abs_diff": difference,
            "compared_batch_sizes": list(BATCH_SIZES) if reopen else [],
            "checkpoint": {"file": source.name, **{key: metadata.get(key) for key in ("epoch", "step", "evaluation")}},
            "mindspore": ms.__version__,
        },
    )
    if difference is None:
        log.info("%s: not compared with the network, because AIR files run on Ascend's own runtime only", target)
    else:
        log.info("%s: logits within %.3g of the network's (batches of %d and %d)", target, difference, *BATCH_SIZES)
    return target


def largest_difference(classify: Classifier, samples: list, expected: list) -> float:
    """Largest absolute difference between a classifier's logits and the expected ones over all batches."""
    return max(float(np.abs(classify(sample) - logits).max()) for sample, logits in zip(samples, expected))


def _write_mindir(network: nn.Cell, shape: tuple, path: Path) -> None:
    ms.export(network, ms.Tensor(shape=(None, *shape), dtype=ms.float32), file_name=str(path), file_format="MINDIR")


def _write_air(network: nn.Cell, shape: tuple, path: Path) -> None:
    # AIR has no dynamic batch.
    ms.export(network, ms.Tensor(np.zeros((1, *shape), np.float32)), file_name=str(path), file_format="AIR")


def _write_onnx(network: nn.Cell, shape: tuple, path: Path) -> None:
    import onnx

    ms.onnx.export(
        network,
        ms.Tensor(shape=(None, *shape), dtype=ms.float32),
        file_name=str(path),
        input_names=["input"],
        output_names=["output1"],
    )
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"  # MindSpore writes the number -1
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
