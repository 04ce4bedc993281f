"""8-bit ONNX files: weights per output channel, activations per tensor, with the ranges seen on calibration images."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def quantize(source: Path, target: Path, batches: Iterable[NDArray[Any]]) -> None:
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
