"""Writes src/weights/published.json: the weight files that others publish for the networks of this package.

Everything in it is what the publishers say of their own files: torchvision and timm as installed, timm's repository
(results/results-imagenet.csv for the accuracies, hfdocs/source/models for sizes), the ResNeSt authors and MindCV as below.
Nothing is downloaded.

Usage: python scripts/make_weight_list.py TIMM, with what benchmarks/requirements.txt lists; TIMM is a checkout of
github.com/huggingface/pytorch-image-models.
"""

import csv
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


def from_timm(repository: Path) -> Iterator[dict[str, Any]]:
    """One row per file of timm with ImageNet's 1,000 classes; where timm states a hash of it, by that address."""
    import timm
    from timm.models import get_pretrained_cfg

    with open(repository / "results/results-imagenet.csv", newline="", encoding="utf-8") as file:
        top1 = {(row["model"], int(row["img_size"])): float(row["top1"]) for row in csv.DictReader(file)}
    sizes = _stated_sizes(repository / "hfdocs/source/models")
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
                "megabytes": sizes.get(found.url) if digest else None,
                "license": found.license or "",
                "top1": top1.get((name, size)),
                "image_size": size,
                "resize": int(size / share),
                "interpolation": found.interpolation,
                "mean": list(found.mean),
                "std": list(found.std),
            }


def _stated_sizes(pages: Path) -> dict[str, float]:
    """Address -> units of 2**20 bytes, with three decimals, of the pages that describe timm's models."""
    sizes = {}
    for page in sorted(pages.glob("*.mdx")):
        for model in page.read_text(encoding="utf-8").split("\n- Name: ")[1:]:
            size, url = re.search(r"File Size: (\d+)", model), re.search(r"Weights: (\S+)", model)
            if size and url:
                sizes[url[1]] = round(int(size[1]) / 2**20, 3)
    return sizes


# Name there -> (network here, first digits of the SHA-256, top-1, crop), of github.com/zhanghang1989/ResNeSt at 1dfb3e8:
# resnest/torch/models/{resnest,ablation}.py, README.md, ablation.md. It evaluates (scripts/torch/verify.py) the middle of
# crop + 32 pixels.
RESNEST = {
    "resnest50": ("resnest50d", "528c19ca", 81.03, 224),
    "resnest101": ("resnest101e", "22405ba7", 82.83, 256),
    "resnest200": ("resnest200e", "75117900", 83.84, 320),
    "resnest269": ("resnest269e", "0cc87c48", 84.54, 416),
    "resnest50_fast_1s1x64d": ("resnest50d_1s1x64d", "d8fbf808", 80.33, 224),
    "resnest50_fast_2s1x64d": ("resnest50d_2s1x64d", "44938639", 80.53, 224),
    "resnest50_fast_4s1x64d": ("resnest50d_4s1x64d", "f74f3fc3", 80.76, 224),
    "resnest50_fast_1s2x40d": ("resnest50d_1s2x40d", "32830b84", 80.59, 224),
    "resnest50_fast_2s2x40d": ("resnest50d_2s2x40d", "9d126481", 80.61, 224),
    "resnest50_fast_4s2x40d": ("resnest50d_4s2x40d", "41d14ed0", 81.14, 224),
    "resnest50_fast_1s4x24d": ("resnest50d_1s4x24d", "d4a4f76f", 80.99, 224),
}

# The same of github.com/mindspore-lab/mindcv at 51b0636 (mindcv/models) and of the tables in configs/*/README.md at 85450da;
# its file names end in those digits (configs/README.md). With them: share of the crop and interpolation (configs/*.yaml).
MINDCV_URL = "https://download.mindspore.cn/toolkits/mindcv"
MINDCV = {
    "resnet/resnet18": ("resnet18", "1e65cd21", 70.21, 224, 0.875, "bilinear"),
    "resnet/resnet34": ("resnet34", "f297d27e", 74.15, 224, 0.875, "bilinear"),
    "resnet/resnet50": ("resnet50", "e0733ab8", 76.69, 224, 0.875, "bilinear"),
    "resnet/resnet101": ("resnet101", "689c5e77", 78.24, 224, 0.875, "bilinear"),
    "resnet/resnet152": ("resnet152", "beb689d8", 78.72, 224, 0.875, "bilinear"),
    "resnext/resnext50_32x4d": ("resnext50_32x4d", "af8aba16", 78.53, 224, 0.875, "bilinear"),
    "resnext/resnext101_32x4d": ("resnext101_32x4d", "3c1e9c51", 79.83, 224, 0.875, "bilinear"),
    "resnext/resnext101_64x4d": ("resnext101_64x4d", "8929255b", 80.30, 224, 0.875, "bilinear"),
    "resnext/resnext152_64x4d": ("resnext152_64x4d", "3aba275c", 80.52, 224, 0.875, "bilinear"),
    "senet/seresnet50": ("seresnet50", "ff9cd214", 78.32, 224, 0.875, "bicubic"),
    "senet/seresnext50_32x4d": ("seresnext50_32x4d", "fdc35aca", 78.71, 224, 0.875, "bicubic"),
    "resnest/resnest50": ("resnest50d", "f2e7fc9c", 80.81, 224, 0.875, "bicubic"),
    "resnest/resnest101": ("resnest101e", "7cc5c258", 82.90, 256, 0.9, "bicubic"),
}


def from_tables() -> Iterator[dict[str, Any]]:
    """One row per file of the ResNeSt authors and of MindCV, neither of whom states sizes."""
    for name, (network, digest, top1, crop) in RESNEST.items():
        url = f"https://github.com/zhanghang1989/ResNeSt/releases/download/weights_step1/{name}-{digest}.pth"
        images = {"image_size": crop, "resize": crop + 32, "interpolation": "bicubic"}
        yield _row(f"resnest:{name}", network, url, digest, top1, images)
    for path, (network, digest, top1, crop, share, interpolation) in MINDCV.items():
        images = {"image_size": crop, "resize": int(crop / share), "interpolation": interpolation}
        name = f"mindcv:{path.partition('/')[2]}"
        yield _row(name, network, f"{MINDCV_URL}/{path}-{digest}.ckpt", digest, top1, images)


def _row(name: str, network: str, url: str, digest: str, top1: float, images: dict[str, Any]) -> dict[str, Any]:
    known = {"name": name, "network": network, "url": url, "sha256": digest, "megabytes": None, "license": "Apache-2.0"}
    return {**known, "top1": top1, **images, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def main() -> None:
    """Writes the file."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    rows = [*from_torchvision(), *from_timm(Path(sys.argv[1])), *from_tables()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    (ROOT / "src/weights/published.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(f"{len(rows)} files")


if __name__ == "__main__":
    main()
