"""ONNX files: written from a network that was prepared for inference, and run on the CPU."""

from pathlib import Path
from typing import Any, Union

import mindspore as ms
import numpy as np
from mindspore import nn
from numpy.typing import NDArray

from ..device import available_cores
from ..errors import UserError, first_line
from .check_onnx import check_onnx
from .classifier import Classifier, cannot_run
from .export_path import any_images, plain_path
from .graph_file import check_file


def write_onnx(network: nn.Cell, shape: tuple[int, ...], batch_size: int, path: Path) -> None:
    """Writes an ONNX file with input "input" and output "output1"; `batch_size` 0: any."""
    import onnx

    with plain_path(path) as file:
        ms.onnx.export(network, any_images(shape, 0), file_name=file, input_names=["input"], output_names=["output1"])
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        dimension = value.type.tensor_type.shape.dim[0]
        if batch_size:
            dimension.dim_value = batch_size
        else:
            dimension.dim_param = "N"  # MindSpore writes the number -1
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def open_onnx(path: Path) -> Classifier:
    """Runs an ONNX file on the CPU with onnxruntime.

    Raises:
        UserError: it asks for more than ONNX's own operators and its own content, or onnxruntime cannot load it.
    """
    check_file(path, check_onnx)
    session = start_session(path, str(path))
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UserError(f"{path}: not a usable ONNX file: it takes {len(inputs)} inputs, not one of images; export it again")

    def classify(images: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            return session.run(None, {inputs[0].name: np.ascontiguousarray(images)})[0]
        except Exception as error:
            raise cannot_run(path, images, error) from None

    return classify


def start_session(path: Path, model: Union[str, bytes]) -> Any:
    """An `onnxruntime.InferenceSession` on all cores. Raises UserError where onnxruntime cannot load the model.

    Args:
        path: what messages name.
        model: the file, or its content.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = 4  # what fails is said in our line
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise UserError(f"{path}: not a usable ONNX file: {first_line(error)}") from None
