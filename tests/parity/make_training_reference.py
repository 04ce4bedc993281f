"""Writes training_reference.npz: what five steps of PyTorch's SGD do to torchvision's and timm's networks.

Usage: python tests/parity/make_training_reference.py [--choose SECONDS], with what benchmarks/requirements.txt lists.

The file holds `<network>.losses` (5,) and `<network>/<parameter>` as `training.sample` gives them, computed in float64, and
`curve`: the losses of 50 steps of a small ResNeXt in float32.
What the same run in float32 differs by is printed, which is much where rounding decides where gradients go (training.py),
and how near the run comes to such a kink. --choose writes nothing, but tries seeds and names those that keep farthest away.
"""

import sys
import time

import numpy as np
import torch
from make_reference import FOLDER, import_torchvision
from torch import nn
from training import (
    CURVE_FIRST_SEED,
    CURVE_NETWORK,
    CURVE_RATE,
    CURVE_SIZE,
    CURVE_STEPS,
    LABEL_SMOOTHING,
    LEARNING_RATE,
    MOMENTUM,
    NETWORKS,
    NUM_CLASSES,
    STEPS,
    WEIGHT_DECAY,
    draw_batch,
    sample,
)
from weights import draw_weights

FAR_ENOUGH = 2e-6  # nearer to a kink, rounding might decide


def reference_network(published: str, stage_sizes: tuple) -> nn.Module:
    """The network of torchvision's or timm's blocks, in training mode, with the weights of weights.py."""
    resnet = import_torchvision().models.resnet
    if published == "resnet18":
        network = resnet.ResNet(resnet.BasicBlock, list(stage_sizes), num_classes=NUM_CLASSES)
    elif published == "resnext50_32x4d":
        network = resnet.ResNet(resnet.Bottleneck, list(stage_sizes), num_classes=NUM_CLASSES, groups=32, width_per_group=4)
    else:
        import timm

        network = timm.create_model(published, layers=list(stage_sizes), num_classes=NUM_CLASSES)
    state = network.state_dict()
    drawn = draw_weights({name: value.shape for name, value in state.items()})
    network.load_state_dict({**state, **{name: torch.from_numpy(value) for name, value in drawn.items()}})
    return network.train()


def train(network: nn.Module, seeds: list, dtype: torch.dtype, size: int, rate: float = LEARNING_RATE) -> tuple:
    """Losses of the steps, each with the batch of its seed, and what is left of the weights."""
    network = network.to(dtype)
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    criterion = nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING)
    losses = []
    for seed in seeds:
        images, labels = map(torch.from_numpy, draw_batch(seed, size))
        loss = criterion(network(images.to(dtype)), labels.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), sample({k: v.numpy() for k, v in network.state_dict().items() if v.dtype == dtype})


def watch_kinks(network: nn.Module) -> list:
    """A list that grows as the network runs, of distances from kinks: a ReLU's input from 0, a pool's two largest inputs.

    Each is divided by the root mean square of the numbers that it is found among.
    """
    found = []

    def relu(_, inputs):
        found.append((inputs[0].abs().min() / inputs[0].square().mean().sqrt()).item())

    def pool(module, inputs):
        padded = nn.functional.pad(inputs[0], [module.padding] * 4).flatten(0, 1)[:, None]
        first, second = nn.functional.unfold(padded, module.kernel_size, stride=module.stride).topk(2, 1).values.unbind(1)
        gaps = (first - second)[first > 0]  # windows of zeros, ReLU's, have no gradient
        found.append((gaps.min() / inputs[0].square().mean().sqrt()).item())

    for module in network.modules():
        if hook := {nn.ReLU: relu, nn.MaxPool2d: pool}.get(type(module)):
            module.register_forward_pre_hook(hook)
    return found


def largest_difference(samples: dict, others: dict) -> float:
    """Relative to the largest value of each tensor, which `sample` puts last."""
    return max(np.abs(others[key] - samples[key]).max() / samples[key][-1] for key in samples)


def choose(seconds: float) -> None:
    """Tries seeds for some seconds per network and prints those far from kinks; the less they round, the better."""
    for name, (published, stage_sizes, size, _) in NETWORKS.items():
        first = reference_network(published, stage_sizes)
        distances = watch_kinks(first)
        best, seed, end = 0.0, -1, time.monotonic() + seconds
        while time.monotonic() < end:
            seed += 1
            distances.clear()
            with torch.no_grad():
                first(torch.from_numpy(draw_batch(seed, size)[0]))
            if min(distances) < FAR_ENOUGH:  # in the first step already
                continue
            network = reference_network(published, stage_sizes)
            all_distances = watch_kinks(network)
            _, exact = train(network, [seed] * STEPS, torch.float64, size)
            if min(all_distances) < FAR_ENOUGH:
                continue
            _, rounded = train(reference_network(published, stage_sizes), [seed] * STEPS, torch.float32, size)
            difference = largest_difference(exact, rounded)
            if min(all_distances) / difference > best:
                best = min(all_distances) / difference
                print(f"{name}: seed {seed}: float32 differs by {difference:.1e}, {min(all_distances):.1e} away from kinks")
        print(f"{name}: {seed + 1} seeds tried", flush=True)


def main() -> None:
    """Computes and writes the file."""
    if sys.argv[1:2] == ["--choose"]:
        choose(float(sys.argv[2]))
        return
    content = {"versions": np.array(f"torch {torch.__version__}")}
    for name, (published, stage_sizes, size, seed) in NETWORKS.items():
        network = reference_network(published, stage_sizes)
        distances = watch_kinks(network)
        losses, samples = train(network, [seed] * STEPS, torch.float64, size)
        _, rounded = train(reference_network(published, stage_sizes), [seed] * STEPS, torch.float32, size)
        difference = largest_difference(samples, rounded)
        print(f"{name}: losses {losses}, float32 differs by {difference:.1e}, {min(distances):.1e} away from kinks")
        content[f"{name}.losses"] = losses
        content.update({f"{name}/{key}": values for key, values in samples.items()})
    seeds = range(CURVE_FIRST_SEED, CURVE_FIRST_SEED + CURVE_STEPS)
    curve = [reference_network(*NETWORKS[CURVE_NETWORK][:2]) for _ in range(2)]
    content["curve"], _ = train(curve[0], seeds, torch.float32, CURVE_SIZE, CURVE_RATE)
    exact, _ = train(curve[1], seeds, torch.float64, CURVE_SIZE, CURVE_RATE)
    print(f"curve: losses {content['curve']}, float64 differs by {np.abs(exact - content['curve']).max():.1e}")
    np.savez_compressed(FOLDER / "training_reference.npz", **content)


if __name__ == "__main__":
    main()
