"""Writes src/weights/published.json: the weight files that torchvision and timm publish for the networks of this package.

Everything in it is what the installed torchvision and timm say of their own files; nothing is downloaded.

Usage: python scripts/make_weight_list.py, with what benchmarks/requirements.txt lists.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from src.networks.registry import list_models  # noqa: E402
from src.weights.verification import import_torchvision  # noqa: E402


def from_torchvision() -> Iterator[dict[str, Any]]:
    """One row per file of torchvision."""
    models = import_torchvision().models
    for network in list_models():
        if not hasattr(models, network):
            continue
        for weights in models.get_model_weights(network):
            transforms = weights.transforms()
            yield {
                "name": f"torchvision:{network}.{weights.name}",
                "network": network,
                "url": weights.url,
                "sha256": re.search(r"-([0-9a-f]{8})\.pth$", weights.url)[1],
                "megabytes": weights.meta["_file_size"],
                "license": "BSD-3-Clause (torchvision)",
                "top1": weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
                "image_size": transforms.crop_size[0],
                "resize": transforms.resize_size[0],
                "interpolation": transforms.interpolation.value,
                "mean": list(transforms.mean),
                "std": list(transforms.std),
            }


def from_timm() -> Iterator[dict[str, Any]]:
    """One row per file of timm with ImageNet's 1,000 classes; where timm states a hash of it, by that address."""
    import timm
    from timm.models import get_pretrained_cfg

    for network in list_models():
        for name in timm.list_pretrained(f"{network}.*"):
            found = get_pretrained_cfg(name)
            if found.num_classes != 1000 or found.first_conv is None:
                continue
            url = f"https://huggingface.co/{found.hf_hub_id}/resolve/main/model.safetensors"
            digest = re.search(r"-([0-9a-f]{8})\.pth$", found.url or "")
            size = (found.test_input_size or found.input_size)[-1]
            share = found.test_crop_pct or found.crop_pct
            yield {
                "name": f"timm:{name}",
                "network": network,
                "url": found.url if digest else url,
                "sha256": digest[1] if digest else "",
                "megabytes": None,
                "license": found.license or "",
                "top1": None,
                "image_size": size,
                "resize": int(size / share),
                "interpolation": found.interpolation,
                "mean": list(found.mean),
                "std": list(found.std),
            }


def main() -> None:
    """Writes the file."""
    rows = [*from_torchvision(), *from_timm()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    (ROOT / "src/weights/published.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(rows)} files")


if __name__ == "__main__":
    main()
