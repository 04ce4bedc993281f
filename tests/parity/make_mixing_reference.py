"""Writes mixing_reference.npz: batches mixed by timm's Mixup.

Usage: python tests/parity/make_mixing_reference.py, with what benchmarks/requirements.txt lists.

The file holds `images` (N, 3, H, W), `labels` (N,) and for every draw i `<i>.share`, `<i>.box` (top, bottom, left, right;
empty for mixup), `<i>.images` and `<i>.targets`.
"""

from pathlib import Path

import numpy as np
from make_reference import import_torchvision

DRAWS, CLASSES, SHAPE = 12, 5, (5, 3, 12, 9)


def main() -> None:
    """Computes and writes the file."""
    import_torchvision()
    import timm
    import torch
    from timm.data import mixup

    generator = np.random.default_rng(0)
    images = generator.normal(size=SHAPE).astype(np.float32)
    labels = generator.integers(0, CLASSES, SHAPE[0])
    content = {"images": images, "labels": labels, "versions": np.array(f"timm {timm.__version__}")}
    boxes = []
    original = mixup.cutmix_bbox_and_lam

    def recording(*arguments, **options):
        box, share = original(*arguments, **options)
        boxes.append(box)
        return box, share

    mixup.cutmix_bbox_and_lam = recording
    np.random.seed(0)
    for i in range(DRAWS):
        boxes.clear()
        mix = mixup.Mixup(mixup_alpha=0.4, cutmix_alpha=1.0, label_smoothing=0.0, num_classes=CLASSES)
        shares = []
        parameters = mix._params_per_batch
        mix._params_per_batch = lambda draw=parameters, kept=shares: kept.append(draw()) or kept[-1]
        mixed = torch.from_numpy(images.copy())
        # Through the method behind __call__, which refuses odd batches: there the middle image meets itself.
        share = mix._mix_batch(mixed)
        targets = mixup.mixup_target(torch.from_numpy(labels), CLASSES, share, 0.0)
        content[f"{i}.share"] = np.array(shares[0][0])
        content[f"{i}.box"] = np.array(boxes[0] if boxes else (), int)
        content[f"{i}.images"] = mixed.numpy()
        content[f"{i}.targets"] = targets.numpy()
    np.savez_compressed(Path(__file__).resolve().parent / "mixing_reference.npz", **content)


if __name__ == "__main__":
    main()
