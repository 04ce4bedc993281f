"""What lies before the logits of an ONNX file: the last stage's output, which the file does not give as it is."""

from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .classifier import Inside, fill_up
from .onnx import start_session

_POOLS = ("ReduceMean", "GlobalAveragePool")
_BETWEEN = ("Flatten", "Reshape", "Squeeze", "Cast", "Identity")  # pool and linear classifier


def open_onnx_inside(path: Path, batch_size: int) -> Inside:
    """Runs a checked ONNX file with the input of its global average pool as another output.

    Args:
        batch_size: images per batch that the file takes; 0: any number.

    Raises:
        UserError: the file does not end with a pool and a linear classifier in float32, as the exports here do.
    """
    import onnx

    model = onnx.load(str(path))
    found = _last_stage(model.graph)
    if not found:
        raise UserError(f"{path}: does not end as a float32 network of this package; pass its checkpoint to see inside")
    stage, weights = found
    model.graph.output.append(onnx.helper.make_tensor_value_info(stage, onnx.TensorProto.FLOAT, None))
    session = start_session(path, model.SerializeToString())
    (image,), (logits, *_) = session.get_inputs(), session.get_outputs()

    def last_stage(images: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        size = batch_size or len(images)
        filled = np.ascontiguousarray(fill_up(images, size))
        batches = [filled[i : i + size] for i in range(0, len(filled), size)]
        parts = [session.run([stage, logits.name], {image.name: batch}) for batch in batches]
        both = [np.concatenate(of_all)[: len(images)] for of_all in zip(*parts)]
        return both[0], both[1]

    return Inside(last_stage, weights)


def _last_stage(graph: Any) -> Optional[tuple[str, NDArray[np.float32]]]:
    """The name of the last stage's output, and the weights (num_classes, C) of the linear classifier."""
    from onnx import numpy_helper

    makers = {name: node for node in graph.node for name in node.output}
    values = {value.name: value for value in graph.initializer}
    linear = makers.get(graph.output[0].name)
    if linear is None or linear.op_type != "Gemm" or linear.input[1] not in values:
        return None
    node = makers.get(linear.input[0])
    while node is not None and node.op_type in _BETWEEN:
        node = makers.get(node.input[0])
    if node is None or node.op_type not in _POOLS:
        return None
    weights = numpy_helper.to_array(values[linear.input[1]])
    transposed = any(option.name == "transB" and option.i for option in linear.attribute)
    return node.input[0], np.asarray(weights if transposed else weights.T, np.float32)
