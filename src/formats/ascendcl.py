"""OM files, run on an Ascend device by AscendCL's Python interface: the module `acl`, which comes with CANN.

Calls and what they return: CANN's manual of pyACL. Most return an error number, 0 for success, or a value and that number.
"""

import weakref
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, first_line
from ..model_info import Preprocessing
from .aipp import input_of, to_pixels, to_yuv420sp
from .classifier import Classifier

_ALREADY_DONE = 100002  # ACL_ERROR_REPEAT_INITIALIZE: MindSpore or another session has initialized AscendCL
_HUGE_FIRST, _HOST = 0, 1  # ACL_MEM_MALLOC_HUGE_FIRST, ACL_HOST
_TO_DEVICE, _FROM_DEVICE, _WITHIN_DEVICE = 1, 2, 3  # aclrtMemcpyKind
_TYPES: dict[int, "np.dtype[Any]"] = {0: np.dtype(np.float32), 1: np.dtype(np.float16), 4: np.dtype(np.uint8)}  # aclDataType
_ALIGNMENT = 512  # bytes by which a buffer may be longer than what is in it
_BATCH_INPUT = "ascend_mbatch_shape_data"  # the second input of a model with batch sizes to choose from


def open_om(path: Path, preprocessing: Preprocessing, device_id: int, described_format: Optional[str] = None) -> Classifier:
    """Runs an OM file of any kind: static batch or several batch sizes, float32 input or pixels by AIPP.

    The classifier takes normalized images, as every other; for AIPP it computes the pixels back, which is exact.

    Args:
        described_format: what the file's description says of its pixels, as AIPP calls it.

    Raises:
        UserError: no `acl`, no device, or not a classifier of such images.
    """
    try:
        import acl
    except ImportError as error:
        raise UserError(
            f"pretrained: '{path}' needs AscendCL's Python interface, the module acl of CANN ({first_line(error)}); run "
            "'source /usr/local/Ascend/ascend-toolkit/set_env.sh' first, or evaluate the ONNX file that it was made from"
        ) from None
    session = _Session(acl, path, device_id)
    kind = session.kind_of_input(preprocessing)
    if described_format and described_format != input_of(kind, preprocessing.image_size, preprocessing.channels).format:
        raise UserError(f"{path}: takes another input than its description says, {described_format}; export it again")

    def classify(images: NDArray[np.float32]) -> NDArray[np.float32]:
        inputs: NDArray[Any] = np.ascontiguousarray(images, np.float32)
        if kind != "none":
            inputs = to_pixels(images, preprocessing)
        if kind == "yuv420sp":
            inputs = to_yuv420sp(inputs)
        return session.run(inputs)

    return classify


class _Session:
    """A loaded model with its device memory, released with the object."""

    def __init__(self, acl: ModuleType, path: Path, device_id: int):
        self._acl, self._path = acl, path
        if (status := acl.init()) != _ALREADY_DONE:
            self._check(status, "init")
            weakref.finalize(acl, acl.finalize)  # when the process ends: after what is undone by finalizers made later
        self._release: list[tuple[Any, ...]] = []  # calls that undo what was done, to be made in reverse order
        weakref.finalize(self, _undo, self._release)
        self._check(acl.rt.set_device(device_id), "rt.set_device")
        self._undo_by(acl.rt.reset_device, device_id)
        self._context = self._value(acl.rt.create_context(device_id), "rt.create_context")
        self._undo_by(acl.rt.destroy_context, self._context)
        self._model = self._value(acl.mdl.load_from_file(str(path)), "mdl.load_from_file")
        self._undo_by(acl.mdl.unload, self._model)
        self._desc = acl.mdl.create_desc()
        self._undo_by(acl.mdl.destroy_desc, self._desc)
        self._check(acl.mdl.get_desc(self._desc, self._model), "mdl.get_desc")
        self._read_batches()
        self._inputs = self._dataset(acl.mdl.get_num_inputs(self._desc), acl.mdl.get_input_size_by_index)
        self._outputs = self._dataset(acl.mdl.get_num_outputs(self._desc), acl.mdl.get_output_size_by_index)
        self._read_output()
        on_host = self._value(acl.rt.get_run_mode(), "rt.get_run_mode") == _HOST
        self._to_device = _TO_DEVICE if on_host else _WITHIN_DEVICE
        self._from_device = _FROM_DEVICE if on_host else _WITHIN_DEVICE

    def kind_of_input(self, preprocessing: Preprocessing) -> str:
        """ "none", "rgb" or "yuv420sp": told by type and bytes per image. Raises UserError where it is none of them."""
        number = self._acl.mdl.get_input_data_type(self._desc, 0)
        has = self._acl.mdl.get_input_size_by_index(self._desc, 0)
        (height, width), channels = preprocessing.image_size, preprocessing.channels
        pixels = height * width * self._sizes[-1]
        kinds = [("none", 0, 4 * channels * pixels), ("rgb", 4, channels * pixels)]
        for kind, data_type, size in (*kinds, ("yuv420sp", 4, pixels * 3 // 2)):
            if number == data_type and size <= has < size + _ALIGNMENT:
                return kind
        found = str(_TYPES.get(number, f"type {number}"))
        raise UserError(
            f"{self._path}: takes {has} bytes of {found} for {self._sizes[-1]} images, which are none of "
            f"image_size {height},{width}; leave --image_size away, or export it again"
        )

    def run(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        """Images as the model takes them, any number -> logits float32 (N, classes)."""
        self._check(self._acl.rt.set_context(self._context), "rt.set_context")
        largest = self._sizes[-1]
        parts = [self._run_batch(inputs[i : i + largest]) for i in range(0, len(inputs), largest)]
        return np.concatenate(parts)

    def _run_batch(self, inputs: NDArray[Any]) -> NDArray[np.float32]:
        acl, count = self._acl, len(inputs)
        size = next(size for size in self._sizes if size >= count)  # the images beyond `count` are those of an earlier batch
        address, capacity = self._inputs[1][0]
        inputs = np.ascontiguousarray(inputs)
        self._copy(address, capacity, inputs.ctypes.data, inputs.nbytes, self._to_device)
        if self._batch_input is not None:
            self._check(
                acl.mdl.set_dynamic_batch_size(self._model, self._inputs[0], self._batch_input, size),
                "mdl.set_dynamic_batch_size",
            )
        self._check(acl.mdl.execute(self._model, self._inputs[0], self._outputs[0]), "mdl.execute")
        logits = np.empty((count, self._num_classes), self._output_type)
        self._copy(logits.ctypes.data, logits.nbytes, self._outputs[1][0][0], logits.nbytes, self._from_device)
        return logits.astype(np.float32)

    def _read_batches(self) -> None:
        """Which numbers of images the model takes at a time, rising."""
        acl = self._acl
        dims = self._value(acl.mdl.get_input_dims(self._desc, 0), "mdl.get_input_dims")["dims"]
        self._batch_input: Optional[int] = None
        if not dims or dims[0] == 0:
            raise UserError(f"{self._path}: takes no images; export it again")
        self._sizes = [dims[0]]
        if dims[0] < 0:
            found = self._value(acl.mdl.get_dynamic_batch(self._desc), "mdl.get_dynamic_batch")
            self._sizes = sorted(found["batch"][: found["batchCount"]])
            if not self._sizes:
                raise UserError(f"{self._path}: has a free shape but no batch sizes; export it with --batch_size 1,8 or so")
            index = acl.mdl.get_input_index_by_name(self._desc, _BATCH_INPUT)
            self._batch_input = self._value(index, "mdl.get_input_index_by_name")
        inputs, outputs = acl.mdl.get_num_inputs(self._desc), acl.mdl.get_num_outputs(self._desc)
        if (inputs - (self._batch_input is not None), outputs) != (1, 1):
            raise UserError(f"{self._path}: has {inputs} inputs and {outputs} outputs, not those of a classifier of images")

    def _read_output(self) -> None:
        number = self._acl.mdl.get_output_data_type(self._desc, 0)
        dims = self._value(self._acl.mdl.get_output_dims(self._desc, 0), "mdl.get_output_dims")["dims"]
        if number not in (0, 1) or len(dims) != 2:
            raise UserError(f"{self._path}: gives no logits, float32 or float16 (N, classes); export it again")
        self._output_type, self._num_classes = _TYPES[number], dims[1]

    def _dataset(self, count: int, size_of: Any) -> tuple[int, list[tuple[int, int]]]:
        """Device memory for all inputs or outputs: a handle, and address and bytes of each."""
        acl = self._acl
        dataset, memory = acl.mdl.create_dataset(), []
        self._undo_by(acl.mdl.destroy_dataset, dataset)
        for index in range(count):
            size = size_of(self._desc, index)
            address = self._value(acl.rt.malloc(size, _HUGE_FIRST), "rt.malloc")
            self._undo_by(acl.rt.free, address)
            buffer = acl.create_data_buffer(address, size)
            self._undo_by(acl.destroy_data_buffer, buffer)
            self._value(acl.mdl.add_dataset_buffer(dataset, buffer), "mdl.add_dataset_buffer")
            memory.append((address, size))
        return dataset, memory

    def _copy(self, target: int, capacity: int, source: int, size: int, kind: int) -> None:
        self._check(self._acl.rt.memcpy(target, capacity, source, size, kind), "rt.memcpy")

    def _undo_by(self, *call: Any) -> None:
        self._release.append(call)

    def _value(self, result: tuple[Any, int], call: str) -> Any:
        self._check(result[1], call)
        return result[0]

    def _check(self, status: int, call: str) -> None:
        if status:
            message = str(self._acl.get_recent_err_msg() or "").strip().splitlines()
            reason = f": {message[0]}" if message else ""
            raise UserError(f"{self._path}: acl.{call} failed with {status}{reason}; 'npu-smi info' shows the devices")


def _undo(calls: list[tuple[Any, ...]]) -> None:
    for function, *arguments in reversed(calls):
        function(*arguments)
