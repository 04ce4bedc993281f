"""Writes gradcam_reference.npz: what the package grad-cam sees in two images, with the weights of weights.py.

Usage: python tests/parity/make_gradcam_reference.py, with what benchmarks/requirements.txt lists.

The file holds `versions` and for every network
    `<name>.classes` (2,), whose heat maps were asked for: the one that the network puts first, and class 3,
    `<name>.maps` (2, n, n), at every fifth pixel in either direction: the heat maps, 0..1, of the last stage
for `draw_images(32)` (CIFAR networks) or `draw_images(64)`.
"""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1])]

from make_reference import network_with_drawn_weights  # noqa: E402
from weights import draw_images  # noqa: E402

from src.networks.registry import find_model, list_models  # noqa: E402
from src.weights.verification import import_torchvision  # noqa: E402


def main() -> None:
    """Computes and writes the file."""
    import_torchvision()  # grad-cam imports it
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    versions = f"grad-cam {importlib.metadata.version('grad-cam')}, torch {torch.__version__}"
    content = {"versions": np.array(versions)}
    for name in list_models():
        spec, network = find_model(name), network_with_drawn_weights(name)
        images = torch.from_numpy(draw_images(32 if spec.stem == "cifar" else 64))
        with torch.inference_mode():
            first = int(network(images)[0].argmax())
        last = getattr(network, f"layer{len(spec.stage_sizes)}")
        with GradCAM(network, [last[-1]]) as explained:
            maps = explained(images, [ClassifierOutputTarget(number) for number in (first, 3)])
        content[f"{name}.classes"] = np.array([first, 3])
        content[f"{name}.maps"] = maps[:, ::5, ::5].astype(np.float32)
        print(name, maps.shape, maps.std())
    np.savez_compressed(FOLDER / "gradcam_reference.npz", **content)


if __name__ == "__main__":
    main()
