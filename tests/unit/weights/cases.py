"""Weights, files of them, and runs of the command, for the tests beside this file."""

import importlib.util
import json
import random
import struct
from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
import pytest

from src import checkpoint
from src.errors import UserError
from src.model_info import ModelInfo
from src.models.create import create_model
from src.weights.__main__ import main
from src.weights.torch_files import read_torch

needs_torch = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "torchvision", "timm")),
    reason="PyTorch, torchvision and timm are not installed here",
)


def draw(shapes: dict, seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    return {
        name: generator.uniform(0.5, 1.5, shape).astype(np.float32) * (0.1 if len(shape) > 1 else 1)
        for name, shape in shapes.items()
    }


def shapes_of(backbone: str, num_classes: int) -> dict:
    return {parameter.name: tuple(parameter.shape) for parameter in create_model(backbone, num_classes).get_parameters()}


STATE = draw(shapes_of("resnet20", 7))


def convert(command, source: Path, output: Path, *options: str, backbone: str = "resnet20") -> tuple:
    """Runs the command, which must succeed; returns stdout and stderr."""
    code, out, err = command(main, "--backbone", backbone, "--source", source, "--output", output, *options)
    assert code == 0, err
    return out, err


def refusal(refused, source: Path, *options: str, backbone: str = "resnet20") -> str:
    """Runs the command, which must fail and write nothing; returns its line."""
    output = source.with_name("refused.ckpt")
    line = refused(main, "--backbone", backbone, "--source", source, "--output", output, *options)
    assert not output.exists()
    return line


def assert_holds(path: Path, state: dict) -> ModelInfo:
    """Checks that a checkpoint holds exactly these weights; returns what it says of itself."""
    loaded = checkpoint.load(path)
    assert set(loaded.weights) == set(state)
    for name, values in state.items():
        actual = loaded.weights[name].asnumpy()
        assert actual.dtype == np.float32 and np.array_equal(actual, values.reshape(actual.shape)), name
    return loaded.info


def write_safetensors(path: Path, tensors: dict, metadata: Optional[dict] = None) -> Path:
    """Writes name -> (dtype as the format names it, array of its bits)."""
    header, data = {"__metadata__": metadata or {"format": "pt"}}, b""
    for name, (dtype, array) in tensors.items():
        content = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
    return path


def write_mindspore(path: Path, state: dict) -> Path:
    values = [{"name": name, "data": ms.Tensor(np.ascontiguousarray(value))} for name, value in state.items()]
    ms.save_checkpoint(values, str(path.with_suffix(".ckpt")))
    path.with_suffix(".ckpt").rename(path)
    return path


def count_refusals(content: bytes, path: Path, rounds: int) -> int:
    """Writes the file with one or two bytes changed or its end gone; every time it must be read, or refused in one line."""
    generator = random.Random(0)
    refused = 0
    for i in range(rounds):
        changed = bytearray(content)
        if i % 3:
            for _ in range(i % 3):
                changed[generator.randrange(len(content))] = generator.randrange(256)
        else:
            del changed[generator.randrange(40, len(content)) :]
        path.write_bytes(bytes(changed))
        try:
            for tensor in read_torch(path)[1]["state_dict"].values():
                tensor.read()
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
        except (KeyError, TypeError, AttributeError):
            pass  # of this test: the name state_dict was changed
    return refused
