"""Stands in for CANN's module `acl`: keeps AscendCL's rules, counts what is not released, and runs ONNX files as OM files.

A file is JSON: {"onnx": path, "kind": "none" | "rgb" | "yuv420sp", "batch": 4} or {..., "gears": [1, 8]}, with "mean" and
"std" of AIPP, "half": true for float16 logits. Memory of the device is out of the program's reach: its addresses
are numbers.
"""

import ctypes
import json
import types
from pathlib import Path
from typing import Any, Optional

import numpy as np
import onnxruntime

_FIRST_ADDRESS = 1 << 50
_ALREADY = 100002


class BrokenRuleError(AssertionError):
    """A rule of AscendCL was broken."""


class Device:
    """What `acl` knows between calls."""

    def __init__(self) -> None:
        self.initialized, self.next_handle = False, _FIRST_ADDRESS
        self.memory: dict[int, np.ndarray] = {}
        self.objects: dict[int, Any] = {}  # contexts, models, descriptions, datasets, buffers
        self.current: Optional[int] = None
        self.fails = ""  # the call that fails
        self.message = ""
        self.batches: list[int] = []  # how many images each call of the network got

    def handle(self, value: Any) -> int:
        self.next_handle += 1 << 30
        self.objects[self.next_handle] = value
        return self.next_handle

    def left(self) -> list:
        return [*self.memory, *self.objects.values()]


class Model:
    """A loaded file."""

    def __init__(self, path: str) -> None:
        spec = json.loads(Path(path).read_text())
        self.session = onnxruntime.InferenceSession(spec["onnx"], providers=["CPUExecutionProvider"])
        self.kind, self.gears, self.half = spec["kind"], spec.get("gears", []), spec.get("half", False)
        self.height, self.width = self.session.get_inputs()[0].shape[2:]
        self.classes = self.session.get_outputs()[0].shape[1]
        self.largest = max(self.gears) if self.gears else spec["batch"]
        self.mean, self.std = np.array(spec["mean"]), np.array(spec["std"])

    def image_bytes(self) -> int:
        pixels = self.height * self.width
        return {"none": 12 * pixels, "rgb": 3 * pixels, "yuv420sp": pixels * 3 // 2}[self.kind]

    def input_dims(self) -> list:
        batch = -1 if self.gears else self.largest
        if self.kind == "none":
            return [batch, 3, self.height, self.width]
        return [batch, self.height, self.width, 3] if self.kind == "rgb" else [batch, self.height * 3 // 2, self.width, 1]

    def compute(self, memory: np.ndarray, batch: int) -> bytes:
        data = memory[: batch * self.image_bytes()]
        if self.kind == "none":
            images = data.view(np.float32).reshape(batch, 3, self.height, self.width)
        else:
            rgb = data.reshape(batch, self.height, self.width, 3) if self.kind == "rgb" else self.to_rgb(data, batch)
            images = ((rgb / 255 - self.mean) / self.std).transpose(0, 3, 1, 2).astype(np.float32)
        logits = self.session.run(None, {"input": np.ascontiguousarray(images)})[0]
        return logits.astype(np.float16 if self.half else np.float32).tobytes()

    def to_rgb(self, data: np.ndarray, batch: int) -> np.ndarray:
        planes = data.reshape(batch, self.height * 3 // 2, self.width).astype(np.float64)
        y = planes[:, : self.height]
        chroma = planes[:, self.height :].reshape(batch, self.height // 2, self.width // 2, 2) - 128
        u, v = (chroma[..., i].repeat(2, 1).repeat(2, 2) for i in (0, 1))
        return np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], -1).clip(0, 255)


def make(device: Device) -> types.ModuleType:
    """The module `acl` for a device."""
    acl, acl.rt, acl.mdl = types.ModuleType("acl"), types.SimpleNamespace(), types.SimpleNamespace()  # type: ignore

    def call(where: Any, name: str, failing: Any = None):
        """Registers a function; it fails where `device.fails` names it, with `failing` in place of its value."""

        def register(function):
            def run(*arguments):
                if not device.initialized and name != "init":
                    raise BrokenRuleError(f"{name} before init")
                if device.fails == name:
                    device.message = f"EE9999: {name} was told to fail\nsecond line"
                    return 507000 if failing is None else (failing, 507000)
                return function(*arguments)

            setattr(where, name, run)
            return run

        return register

    def released(kind: type):
        def release(handle: int) -> int:
            if not isinstance(device.objects.pop(handle, None), kind):
                raise BrokenRuleError(f"{handle} is no {kind.__name__} that lives")
            return 0

        return release

    _basics(acl, device, call, released)
    _memory(acl, device, call, released)
    _models(acl, device, call, released)
    return acl


def _basics(acl, device, call, released) -> None:
    @call(acl, "init")
    def init():
        again, device.initialized = device.initialized, True
        return _ALREADY if again else 0

    @call(acl, "finalize")
    def finalize():
        if device.left():
            raise BrokenRuleError(f"not released: {device.left()}")
        device.initialized = False
        return 0

    acl.get_recent_err_msg = lambda: device.message
    call(acl.rt, "set_device")(lambda number: 0 if number < 2 else 107001)
    call(acl.rt, "reset_device")(lambda number: 0)
    call(acl.rt, "get_run_mode", 0)(lambda: (1, 0))
    call(acl.rt, "destroy_context")(released(str))

    @call(acl.rt, "create_context", 0)
    def create_context(number):
        device.current = device.handle("context")
        return device.current, 0

    @call(acl.rt, "set_context")
    def set_context(handle):
        if device.objects.get(handle) != "context":
            raise BrokenRuleError("no such context")
        device.current = handle
        return 0


def _memory(acl, device, call, released) -> None:
    @call(acl.rt, "malloc", 0)
    def malloc(size, policy):
        handle = device.handle("memory")
        del device.objects[handle]
        device.memory[handle] = np.zeros(size, np.uint8)
        return handle, 0

    @call(acl.rt, "free")
    def free(address):
        del device.memory[address]
        return 0

    @call(acl.rt, "memcpy")
    def memcpy(target, capacity, source, size, kind):
        if size > capacity:
            raise BrokenRuleError("more is copied than there is room")
        if kind == 1:
            device.memory[target][:size] = np.frombuffer(ctypes.string_at(source, size), np.uint8)
        elif kind == 2:
            ctypes.memmove(target, device.memory[source][:size].tobytes(), size)
        else:
            raise BrokenRuleError(f"memcpy of kind {kind}")
        return 0

    acl.create_data_buffer = lambda address, size: device.handle((address, size))
    acl.destroy_data_buffer = released(tuple)
    acl.mdl.create_dataset = lambda: device.handle([])
    call(acl.mdl, "destroy_dataset")(released(list))

    @call(acl.mdl, "add_dataset_buffer", 0)
    def add_dataset_buffer(dataset, buffer):
        device.objects[dataset].append(device.objects[buffer])
        return dataset, 0


def _models(acl, device, call, released) -> None:
    @call(acl.mdl, "load_from_file", 0)
    def load_from_file(path):
        try:
            return device.handle(Model(path)), 0
        except ValueError:
            device.message = "EE1001: the model file is damaged"
            return 0, 145003

    call(acl.mdl, "unload")(released(Model))
    acl.mdl.create_desc = lambda: device.handle({})
    call(acl.mdl, "destroy_desc")(released(dict))

    @call(acl.mdl, "get_desc")
    def get_desc(desc, model):
        device.objects[desc]["model"] = device.objects[model]
        return 0

    def of(desc) -> Model:
        return device.objects[desc]["model"]

    acl.mdl.get_num_inputs = lambda desc: 2 if of(desc).gears else 1
    acl.mdl.get_num_outputs = lambda desc: 1
    acl.mdl.get_input_data_type = lambda desc, index: 0 if of(desc).kind == "none" else 4
    acl.mdl.get_output_data_type = lambda desc, index: 1 if of(desc).half else 0
    acl.mdl.get_input_size_by_index = lambda desc, index: 4 if index else of(desc).image_bytes() * of(desc).largest
    acl.mdl.get_output_size_by_index = lambda desc, index: of(desc).classes * of(desc).largest * (2 if of(desc).half else 4)
    call(acl.mdl, "get_input_dims", {})(lambda desc, index: ({"dims": of(desc).input_dims()}, 0))
    call(acl.mdl, "get_output_dims", {})(lambda desc, index: ({"dims": [of(desc).largest, of(desc).classes]}, 0))
    gears = lambda desc: ({"batchCount": len(of(desc).gears), "batch": [*of(desc).gears, 0, 0]}, 0)  # noqa: E731
    call(acl.mdl, "get_dynamic_batch", {})(gears)
    call(acl.mdl, "get_input_index_by_name", 0)(lambda desc, name: (1, 0) if name == "ascend_mbatch_shape_data" else (0, 1))

    @call(acl.mdl, "set_dynamic_batch_size")
    def set_dynamic_batch_size(model, dataset, index, size):
        if size not in device.objects[model].gears or index != 1:
            return 145013
        device.objects[model].chosen = size
        return 0

    @call(acl.mdl, "execute")
    def execute(model, inputs, outputs):
        network = device.objects[model]
        batch = network.chosen if network.gears else network.largest
        device.batches.append(batch)
        ((address, _), *_), ((target, _),) = device.objects[inputs], device.objects[outputs]
        result = np.frombuffer(network.compute(device.memory[address], batch), np.uint8)
        device.memory[target][: len(result)] = result
        return 0
