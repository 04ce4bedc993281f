"""How infer_throughput.py's workers open and run a model file by OpenVINO, onnxruntime and MindSpore."""

import time
from pathlib import Path

import numpy as np

from src.device import available_cores
from src.errors import UserError
from src.model_info import describe, meta_path


def load(compiled: dict, runtime: str, precision: str, path: Path, batch_size: int, shape: str) -> dict:
    """Compiles a model and runs it once; a dynamic one is compiled for the first batch size only."""
    started = time.perf_counter()
    try:
        fixed, image_shape = input_of(path)
        if fixed and (fixed != batch_size or shape == "dynamic"):
            return {"refused": f"the file takes batches of {fixed} only"}
        if runtime == "mindspore" and not fixed:
            shape = "dynamic"
        key = f"{path} {batch_size if shape == 'static' else shape}"
        images = np.random.default_rng(0).standard_normal((batch_size, *image_shape), np.float32)
        run = compiled[key][0] if key in compiled else LOADERS[runtime](path, images.shape, shape, precision)
        run(images, 1)
    except Exception as error:  # whatever a runtime raises: the others go on
        return {"refused": str(error).strip().partition("\n")[0]}
    compiled[key] = run, images
    return {"key": key, "shape": shape, "compile_seconds": round(time.perf_counter() - started, 3)}


def input_of(path: Path) -> tuple:
    """The batch size that a file is fixed to, or 0, and the shape of one image."""
    if path.suffix == ".onnx":
        import onnx

        dimensions = onnx.load(str(path), load_external_data=False).graph.input[0].type.tensor_type.shape.dim
        shape = [dimension.dim_value for dimension in dimensions]
    else:
        described = describe(path).input
        if described is None:
            raise UserError(f"no {meta_path(path).name} beside it, which tells the image size")
        shape = described.shape
    return (0 if shape[0] == "N" else shape[0]), tuple(shape[1:])  # ONNX: 0 where it is a name


def load_openvino(path: Path, shape: tuple, mode: str, precision: str):
    """A function (images, batches) that runs a file by OpenVINO's asynchronous queue, tuned for throughput."""
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    model.reshape([shape[0] if mode == "static" else -1, *shape[1:]])
    settings = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}
    queue = openvino.AsyncInferQueue(core.compile_model(model, "CPU", settings))

    def run(images: np.ndarray, batches: int) -> None:
        for _ in range(batches):
            queue.start_async({0: images})
        queue.wait_all()

    return run


def load_onnxruntime(path: Path, shape: tuple, mode: str, _: str):
    """The same by onnxruntime, one batch after the other."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = 3
    if mode == "static":
        options.add_free_dimension_override_by_name("N", shape[0])
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(images: np.ndarray, batches: int) -> None:
        for _ in range(batches):
            session.run(None, {name: images})

    return run


def load_mindspore(path: Path, _: tuple, __: str, ___: str):
    """The same by MindSpore, set up as eval.py does."""
    from src.config import build_config
    from src.device import prepare

    prepare(build_config({"platform": "CPU"}))
    from src.formats.mindir import open_mindir

    classify = open_mindir(path)

    def run(images: np.ndarray, batches: int) -> None:
        for _ in range(batches):
            classify(images)

    return run


LOADERS = {"openvino": load_openvino, "onnxruntime": load_onnxruntime, "mindspore": load_mindspore}
