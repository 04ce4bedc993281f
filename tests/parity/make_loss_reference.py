"""Writes loss_reference.npz: weighted and focal losses of PyTorch, torchvision and kornia, and their gradients.

Usage: python tests/parity/make_loss_reference.py, with what benchmarks/requirements.txt lists and kornia.

The file holds `logits` (N, classes), `labels` (N,), `mixed` (N, classes), `weights` (classes,), `gammas`, and of every loss
`<name>` () and `<name>.gradient` (N, classes).
"""

from pathlib import Path

import numpy as np
import torch
from kornia.losses import focal_loss
from torch.nn.functional import cross_entropy, one_hot
from torchvision.ops import sigmoid_focal_loss

IMAGES, CLASSES, GAMMAS = 7, 5, (0.5, 2.0)


def main() -> None:
    """Computes and writes the file."""
    generator = np.random.default_rng(0)
    logits = torch.tensor(generator.normal(0, 3, (IMAGES, CLASSES)), dtype=torch.float64)
    labels = torch.tensor(generator.integers(0, CLASSES, IMAGES))
    hard = one_hot(labels, CLASSES).double()
    mixed = 0.3 * hard + 0.7 * hard.flip(0)
    weights = torch.tensor(generator.uniform(0.2, 3, CLASSES))
    of_image = weights[labels]
    losses = {
        # PyTorch divides by the sum of the weights, this package by the number of images.
        "weighted": lambda x: cross_entropy(x, labels, weights, reduction="sum") / IMAGES,
        "weighted_mixed": lambda x: (cross_entropy(x, mixed, reduction="none") * (mixed @ weights)).mean(),
    }
    for gamma in GAMMAS:

        def focal(x, gamma=gamma):
            return focal_loss(x, labels, alpha=None, gamma=gamma, reduction="none").sum(1)

        losses[f"focal{gamma}"] = lambda x, focal=focal: focal(x).mean()
        losses[f"focal_weighted{gamma}"] = lambda x, focal=focal: (focal(x) * of_image).mean()
        for name, targets in (("binary_focal", hard), ("binary_focal_mixed", mixed)):
            losses[f"{name}{gamma}"] = lambda x, t=targets, g=gamma: sigmoid_focal_loss(x, t, -1, g, "mean")
    content = {"logits": logits.numpy(), "labels": labels.numpy(), "mixed": mixed.numpy(), "weights": weights.numpy()}
    for name, loss in losses.items():
        x = logits.clone().requires_grad_()
        value = loss(x)
        value.backward()
        content |= {name: value.detach().numpy(), f"{name}.gradient": x.grad.numpy()}
    np.savez_compressed(Path(__file__).with_name("loss_reference.npz"), gammas=np.array(GAMMAS), **content)


if __name__ == "__main__":
    main()
