"""Writes reference.npz: what torchvision's and timm's networks answer to two images with the weights of weights.py.

Usage: python tests/parity/make_reference.py, with what benchmarks/requirements.txt lists.

The file holds `versions` and for every network
    `<name>.logits` (2, classes), for `draw_images(32)` (CIFAR networks) or `draw_images(64)`,
    `<name>.logits_at_own_size`, for images of the size that the network is published for (`weights.AT_OWN_SIZE` only),
    `<name>.parameters`, how many are trainable,
    `<name>.multiply_adds` in convolutions and linear layers, for one image of the network's own size,
    `<name>.shapes` (`weights.digest`),
    `<name>.top1`, the accuracy that torchvision states for its first weights, in percent (where it has such weights).
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parents[1])]

from weights import AT_OWN_SIZE, digest, draw_images, draw_weights  # noqa: E402

from src.networks.registry import find_model, list_models  # noqa: E402
from src.weights.verification import import_torchvision  # noqa: E402

# What torchvision has no constructor for. Stage sizes, groups, width per group of its ResNet:
LARGER = {
    "resnext101_32x4d": ([3, 4, 23, 3], 32, 4),
    "resnext152_64x4d": ([3, 8, 36, 3], 64, 4),
}
# Arguments of CifarResNet, the block by its name in torchvision:
CIFAR = {
    **{f"resnet{6 * n + 2}": {"block": "BasicBlock", "blocks": n, "channels": 16} for n in (3, 5, 7, 9, 18)},
    "resnext29_8x64d": {"block": "Bottleneck", "blocks": 3, "channels": 64, "groups": 8, "width_per_group": 64},
    "resnext29_16x64d": {"block": "Bottleneck", "blocks": 3, "channels": 64, "groups": 16, "width_per_group": 64},
    "resnext11_8x16d": {"block": "Bottleneck", "blocks": 1, "channels": 32, "groups": 8, "width_per_group": 16},
}
# Networks that timm has no constructor for: the ResNeSt paper's ablations, radix, cardinality and width of a group.
ABLATIONS = {
    f"resnest50d_{radix}s{cardinality}x{width}d": (radix, cardinality, width)
    for radix, cardinality, width in [(1, 1, 64), (2, 1, 64), (4, 1, 64), (1, 2, 40), (2, 2, 40)]
}


def reference_network(name: str) -> nn.Module:
    """torchvision's or timm's network of that name, or the one that their blocks make up."""
    models = import_torchvision().models
    if name in ABLATIONS:
        return ablation(*ABLATIONS[name])
    if name.startswith(("se", "resnest")) or name.endswith("d") and name.startswith("resnet"):
        import timm

        return timm.create_model(name)
    if name in CIFAR:
        return CifarResNet(**{**CIFAR[name], "block": getattr(models.resnet, CIFAR[name]["block"])})
    if name in LARGER:
        stage_sizes, groups, width_per_group = LARGER[name]
        return models.resnet.ResNet(models.resnet.Bottleneck, stage_sizes, groups=groups, width_per_group=width_per_group)
    return models.get_model(name)


def network_with_drawn_weights(name: str) -> nn.Module:
    """`reference_network` for inference, with the weights of weights.py."""
    network = reference_network(name).eval()
    state = network.state_dict()
    drawn = draw_weights({name: value.shape for name, value in state.items()})
    network.load_state_dict({**state, **{name: torch.from_numpy(value) for name, value in drawn.items()}})
    return network


def ablation(radix: int, cardinality: int, width: int) -> nn.Module:
    """A 50-layer ResNeSt of the paper's table 2, made of timm's blocks like its own `resnest50d_4s2x40d`."""
    from timm.models.resnest import ResNestBottleneck
    from timm.models.resnet import ResNet

    return ResNet(
        block=ResNestBottleneck, layers=[3, 4, 6, 3], stem_type="deep", stem_width=32, avg_down=True, base_width=width,
        cardinality=cardinality, block_args={"radix": radix, "avd": True, "avd_first": True},
    )  # fmt: skip


class CifarResNet(nn.Module):
    """The CIFAR networks of He et al. 2015, arXiv 1512.03385, section 4.2, and Xie et al. 2016, arXiv 1611.05431, 5.3."""

    def __init__(self, block: type, blocks: int, channels: int, groups: int = 1, width_per_group: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        inputs = channels
        for stage in range(3):
            planes = channels * 2**stage
            outputs = planes * block.expansion
            layers = []
            for index in range(blocks):
                stride = 2 if stage > 0 and index == 0 else 1
                downsample = None
                if inputs != outputs and block.expansion == 1:
                    downsample = ZeroPadding(outputs - inputs)
                elif inputs != outputs:
                    downsample = nn.Sequential(
                        nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
                    )
                layers.append(block(inputs, planes, stride, downsample, groups, width_per_group))
                inputs = outputs
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        """Images (N, 3, H, W) -> logits (N, 10)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


class ZeroPadding(nn.Module):
    """The shortcut without parameters, option A of He et al. 2015, section 3.3: every second pixel, zero channels."""

    def __init__(self, added_channels: int):
        super().__init__()
        self.half = added_channels // 2

    def forward(self, x):
        """(N, C, H, W) -> (N, C + added_channels, H / 2, W / 2)."""
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.half, self.half))


def logits_of(network: nn.Module, size: int) -> np.ndarray:
    """What a network answers to the images of one size."""
    with torch.inference_mode():
        return network(torch.from_numpy(draw_images(size))).numpy()


def count_multiply_adds(network: nn.Module, size: int) -> int:
    """Multiplications in convolutions and linear layers for one image. Moves the network to the meta device for good."""
    counts = []

    def count(module, _, output):
        if isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            counts.append(module.in_channels // module.groups * height * width * output.numel())
        else:
            counts.append(module.in_features * output.numel())

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network.to("meta")(torch.zeros(1, 3, size, size, device="meta"))
    return sum(counts)


def main() -> None:
    """Computes and writes the file, and prints a line per network."""
    content = {}
    torchvision = import_torchvision()
    import timm

    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "timm": timm.__version__}
    content["versions"] = np.array(", ".join(f"{name} {version}" for name, version in versions.items()))
    print(content["versions"])
    for name in list_models():
        network = network_with_drawn_weights(name)
        logits = logits_of(network, 32 if name in CIFAR else 64)
        size = find_model(name).image_size
        if name in AT_OWN_SIZE:
            content[f"{name}.logits_at_own_size"] = logits_of(network, size)
        if name in torchvision.models.list_models():
            weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
            content[f"{name}.top1"] = np.array(weights.meta["_metrics"]["ImageNet-1K"]["acc@1"])
        parameters = sum(parameter.numel() for parameter in network.parameters())
        content[f"{name}.logits"] = logits
        content[f"{name}.parameters"] = np.array(parameters)
        content[f"{name}.shapes"] = np.array(digest({name: value.shape for name, value in network.state_dict().items()}))
        multiply_adds = count_multiply_adds(network, size)
        content[f"{name}.multiply_adds"] = np.array(multiply_adds)
        print(
            f"{name}: {parameters:,} parameters, {multiply_adds:,} multiply-adds, "
            f"logits' standard deviation {logits.std():.2f}, between the two images {np.std(logits[0] - logits[1]):.2f}"
        )
    np.savez_compressed(FOLDER / "reference.npz", **content)


if __name__ == "__main__":
    main()
