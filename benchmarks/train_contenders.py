"""What train_throughput.py compares: the contenders, and one step of each."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from src.config import build_config
from src.device import available_cores, prepare
from src.networks.registry import find_model

ROOT = Path(__file__).resolve().parents[1]
LEARNING_RATE = 0.01  # small enough for a loss that stays finite on one batch


class Contender(NamedTuple):
    """What runs a network, and how.

    Attributes:
        kernels: `cpu_kernels` of MindSpore, or None for PyTorch.
        bfloat16: products in bfloat16 (amp_level O2; PyTorch's autocast).
        instructions: ONEDNN_MAX_CPU_ISA, which PyTorch's own copy of oneDNN follows too; empty: not set.
        channels_last: PyTorch's memory layout.
    """

    name: str
    kernels: str = ""
    bfloat16: bool = False
    instructions: str = ""
    channels_last: bool = False


CONTENDERS = {
    "blocked": Contender("blocked kernels", "blocked"),
    "blocked_avx2": Contender("blocked kernels, AVX2", "blocked", instructions="AVX2"),
    "blocked_bf16": Contender("blocked kernels, bfloat16", "blocked", bfloat16=True),
    "stock": Contender("MindSpore", "stock"),
    "slow": Contender("MindSpore, no fast path", "stock", instructions="DEFAULT"),
    "torch": Contender("PyTorch"),
    "torch_cl": Contender("PyTorch, channels_last", channels_last=True),
    "torch_bf16": Contender("PyTorch, channels_last, bfloat16", bfloat16=True, channels_last=True),
    "torch_cl_avx2": Contender("PyTorch, channels_last, AVX2", instructions="AVX2", channels_last=True),
}


def classes_of(name: str) -> int:
    """ImageNet's classes, or CIFAR-10's where the network is one for 32 x 32 pixels, as those that it is compared with."""
    return 10 if find_model(name).stem == "cifar" else 1000


def mindspore_step(
    name: str, images: np.ndarray, labels: np.ndarray, contender: Contender, evaluate: bool, keys: str = ""
) -> tuple:
    """A function that does one step of train.py's kind (or eval.py's) and returns the loss, and the package's name.

    Args:
        keys: of the configuration besides, `key=value` separated by commas.
    """
    values = {key: yaml.safe_load(value) for key, _, value in (pair.partition("=") for pair in keys.split(",") if pair)}
    if contender.bfloat16:
        values |= {"amp_level": "O2", "amp_dtype": "bfloat16"}
    values |= {"backbone": name, "num_classes": classes_of(name), "platform": "CPU", "device_normalization": 0}
    config = build_config({**values, "cpu_kernels": contender.kernels})
    prepare(config, own_convolutions=contender.kernels == "blocked")
    import mindspore as ms

    from src.models.create import create_model, folded_copy
    from src.training.build import create_network, create_step

    inputs = ms.Tensor(images), ms.Tensor(labels.astype(np.int32))
    if evaluate:
        network = create_model(name, classes_of(name)).set_train(False)
        if contender.kernels == "blocked":
            network = folded_copy(network, name)
        return lambda: float(network(inputs[0]).asnumpy().sum()), "mindspore"
    step = create_step(create_network(config), np.full(10_000, LEARNING_RATE, np.float32), config, "CPU").set_train()
    return lambda: float(step(*inputs)[0].asnumpy()), "mindspore"


def torch_step(name: str, images: np.ndarray, labels: np.ndarray, contender: Contender, evaluate: bool) -> tuple:
    """The same step in PyTorch."""
    import torch

    sys.path.insert(0, str(ROOT / "tests" / "parity"))
    from make_reference import reference_network

    torch.set_num_threads(available_cores())
    config = build_config({"backbone": name})
    layout = torch.channels_last if contender.channels_last else torch.contiguous_format
    network = reference_network(name).train(not evaluate).to(memory_format=layout)
    inputs, targets = torch.from_numpy(images).to(memory_format=layout), torch.from_numpy(labels)
    parameters = list(network.parameters())
    decayed, kept = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": kept}]
    optimizer = torch.optim.SGD(groups, lr=LEARNING_RATE, momentum=config.momentum)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=config.label_smooth_factor)

    def forward() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=contender.bfloat16):
            return network(inputs)

    def evaluation() -> float:
        with torch.inference_mode():
            return float(forward().sum())

    if evaluate:
        return evaluation, "torch"

    def step() -> float:
        optimizer.zero_grad()
        loss = criterion(forward().float(), targets)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step, "torch"
