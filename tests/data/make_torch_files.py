"""Writes zip.pth and legacy.pth: one small training checkpoint in both of PyTorch's formats.

Usage: python tests/data/make_torch_files.py, with what benchmarks/requirements.txt lists. PyTorch 2.13 wrote the ones here.
"""

import argparse
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    """Writes both files."""
    numbers = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    weights = OrderedDict()
    weights["a.weight"] = torch.nn.Parameter(numbers.clone())
    weights["b"] = torch.tensor([1.0, -2.5, 3.0e38], dtype=torch.bfloat16)
    weights["transposed"] = numbers.t()  # these three share a storage
    weights["part"] = numbers[1:3, 1::2]
    weights["row"] = numbers[3]
    weights["half"] = torch.tensor([[0.5], [65504.0]], dtype=torch.float16)
    weights["double"] = torch.tensor([1 / 3], dtype=torch.float64)
    weights["channels_last"] = torch.arange(16.0).reshape(1, 4, 2, 2).contiguous(memory_format=torch.channels_last)
    weights["bn.num_batches_tracked"] = torch.tensor(7)
    weights["flags"] = torch.tensor([True, False])
    weights["empty"] = torch.zeros(0, 3)
    content = {
        "state_dict": weights,
        "epoch": 3,
        "best": np.float64(0.5),
        "args": argparse.Namespace(lr=0.1, betas=(0.9, 0.999), name="é", paths={"a", "b"}, nothing=None, large=2**70),
        "history": defaultdict(list, {"loss": [1.0, 0.5]}),
        "size": numbers.shape,
        "device": torch.device("cpu"),
    }
    torch.save(content, FOLDER / "zip.pth")
    torch.save(content, FOLDER / "legacy.pth", _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
