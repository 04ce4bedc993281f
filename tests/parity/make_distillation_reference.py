"""Writes distillation_reference.npz: losses of timm's distillation and of PyTorch's cross entropy, and their gradients.

Usage: python tests/parity/make_distillation_reference.py, with what benchmarks/requirements.txt lists.

The file holds `versions`, `student`, `teacher` (N, classes), `labels` (N,), `settings` (settings, 2): weight and
temperature, and of every setting `soft<i>` (), `soft<i>.gradient` (N, classes), `hard<i>` (), `hard<i>.gradient`,
computed in float64.
"""

import numpy as np
import torch
from make_reference import FOLDER, import_torchvision
from torch import nn
from torch.nn.functional import cross_entropy

import_torchvision()  # timm imports it
import timm  # noqa: E402
from timm.task import LogitDistillationTask  # noqa: E402

IMAGES, CLASSES = 7, 5
SETTINGS = ((0.5, 1.0), (0.9, 4.0), (1.0, 2.0), (0.3, 0.5))


class Answers(nn.Module):
    """A network that gives the same logits to any images."""

    pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.2, 0.2, 0.2)}

    def __init__(self, logits: np.ndarray):
        super().__init__()
        self.num_classes, self.in_chans = CLASSES, 3
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits


def main() -> None:
    """Computes and writes the file."""
    generator = np.random.default_rng(0)
    student, teacher = generator.normal(0, 3, (2, IMAGES, CLASSES)).astype(np.float32)
    labels = generator.integers(0, CLASSES, IMAGES)
    content = {"student": student, "teacher": teacher, "labels": labels, "settings": np.array(SETTINGS)}
    content["versions"] = np.array(f"torch {torch.__version__}, timm {timm.__version__}")
    images, targets = torch.zeros(IMAGES, 3, 8, 8, dtype=torch.float64), torch.tensor(labels)
    for number, (weight, temperature) in enumerate(SETTINGS):
        network = Answers(student)
        task = LogitDistillationTask(
            network, Answers(teacher), nn.CrossEntropyLoss(), task_loss_weight=1 - weight, temperature=temperature,
            dtype=torch.float64, device=torch.device("cpu"), verbose=False,
        )  # fmt: skip
        loss = task(images, targets)["loss"]
        loss.backward()
        content |= {f"soft{number}": loss.detach().numpy(), f"soft{number}.gradient": network.logits.grad.numpy().copy()}
        network.logits.grad = None
        chosen = torch.tensor(teacher).argmax(1)
        loss = (1 - weight) * cross_entropy(network.logits, targets) + weight * cross_entropy(network.logits, chosen)
        loss.backward()
        content |= {f"hard{number}": loss.detach().numpy(), f"hard{number}.gradient": network.logits.grad.numpy().copy()}
    np.savez_compressed(FOLDER / "distillation_reference.npz", **content)


if __name__ == "__main__":
    main()
