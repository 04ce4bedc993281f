"""Weights of ours under the names that other programs give them; their networks' sources are named in src/weights."""

import numpy as np

_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def mindspore(state: dict) -> dict:
    """Batch norms as MindSpore names them."""
    renamed = {}
    for name, values in state.items():
        owner, _, last = name.rpartition(".")
        renamed[f"{owner}.{_NORM[last]}" if f"{owner}.running_mean" in state else name] = values
    return renamed


def _replace(state: dict, *pairs: tuple) -> dict:
    def new_name(name: str) -> str:
        for old, new in pairs:
            name = f".{name}".replace(f".{old}", f".{new}")[1:]
        return name

    return {new_name(name): values for name, values in state.items()}


def _by_group(state: dict, ending: str, groups: int) -> dict:
    split = {}
    for name, values in state.items():
        if name.endswith(f"{ending}.weight"):
            for i, part in reversed(list(enumerate(np.split(values, groups)))):
                split[f"{name[: -len('weight')]}convs.{i}.weight"] = part
        else:
            split[name] = values
    return split


def mindcv(state: dict) -> dict:
    """MindCV's ResNet and ResNeXt."""
    return _replace(mindspore(state), ("downsample.", "down_sample."), ("fc.", "classifier."))


def models_resnet(state: dict) -> dict:
    """The models repository's ResNet-50, -101, -152."""
    return _replace(mindspore(state), ("downsample.", "down_sample_layer."), ("fc.", "end_point."))


def models_resnet18(state: dict) -> dict:
    """The models repository's ResNet-18 and -34."""
    renamed = models_resnet(state)
    return {name.replace(".bn1.", ".bn1d.").replace(".bn2.", ".bn2d."): values for name, values in renamed.items()}


def models_resnext(state: dict) -> dict:
    """The models repository's ResNeXt on Ascend and CPU, 8 groups."""
    renamed = _replace(mindspore(state), ("downsample.0.", "down_sample.conv."), ("downsample.1.", "down_sample.bn."))
    stem = {"conv1": "backbone.conv", "bn1": "backbone.bn", "fc": "head.fc"}
    renamed = {
        f"{stem.get(first, f'backbone.{first}')}.{rest}": values
        for (first, _, rest), values in ((name.partition("."), values) for name, values in renamed.items())
    }
    return _by_group(renamed, "conv2", 8)


def models_resnest(state: dict) -> dict:
    """The models repository's ResNeSt of radix 2: convolutions group by group, none with biases."""
    renamed = {name: values for name, values in mindspore(state).items() if not name.endswith((".fc1.bias", ".fc2.bias"))}
    return _by_group(_by_group(_by_group(renamed, "conv2.conv", 2), ".fc1", 1), ".fc2", 1)


def cadene(state: dict) -> dict:
    """Cadene's SE-ResNet and SE-ResNeXt."""
    stem = {"conv1.": "layer0.conv1.", "bn1.": "layer0.bn1.", "fc.": "last_linear."}
    renamed = {}
    for name, values in state.items():
        first = name.partition(".")[0] + "."
        renamed[(stem.get(first, first) + name[len(first) :]).replace(".se.", ".se_module.")] = values
    return renamed
