"""Names that other programs give to the same weights, as rules; and in what their networks differ from ours.

MindCV: mindcv/models/{resnet,senet,resnest}.py, 0.2.2 and later. MindSpore's models repository, master of July 2023:
official/cv/ResNet, research/cv/{ResNeXt,resnext152_64x4d,SE_ResNeXt50,ResNeSt50}. torchvision, timm and the ResNeSt authors
use the names that we use.
"""

import re
from collections.abc import Container, Iterable

_RULES = [
    (re.compile(pattern), name)
    for pattern, name in [
        # wrappers: DataParallel, torch.compile, Lightning, MindSpore's WithLossCell; backbone and head: models repository
        (r"^(?:(?:module|_orig_mod|model|network|_backbone|backbone|head)\.)+", ""),
        (r"\.gamma$", ".weight"),
        (r"\.beta$", ".bias"),
        (r"\.moving_mean$", ".running_mean"),
        (r"\.moving_variance$", ".running_var"),
        (r"\.down_sample(?:_layer)?\.", ".downsample."),
        (r"\.downsample\.conv\.", ".downsample.0."),  # models repository's ResNeXt
        (r"\.downsample\.bn\.", ".downsample.1."),
        (r"^conv\.", "conv1."),
        (r"^bn\.", "bn1."),
        (r"^layer0\.0\.", "conv1."),  # MindCV's SENet
        (r"^layer0\.1\.", "bn1."),
        (r"\.se_module\.conv_reduce\.", ".se.fc1."),
        (r"\.se_module\.conv_expand\.", ".se.fc2."),
        (r"\.bn(\d)d\.", r".bn\1."),  # models repository's ResNet-18 and -34
        (r"^(?:classifier|end_point)\.", "fc."),
    ]
]
_GROUP = re.compile(r"\.convs\.(\d+)\.")  # models repository: one convolution per group
_COUNTERS = re.compile(r"(?:^|\.)(?:num_batches_tracked|n_averaged)$")
# What MindSpore's and MindCV's optimizers add: copies of the weights under a prefix, and scalars.
_COPY = re.compile(
    r"^(?:(?:accum|accum_update|adam_[mv]|lamb_[mv]|lion_m|nadam_[mv]|ax_|exp_avg|linear|mean_grad|mean_square|"
    r"moments?[123]?|prev|prev_gradient|stat|step_size|vhat)\.|exp_avg_sq_(?:row_|col_)?)(.+)"
)
_SCALAR = re.compile(
    r"^(?:momentum|global_step|beta[12]_power|mu_schedule|scale_sense|loss_scale|current_iterator_step|"
    r"last_overflow_iterator_step|epoch_num|step_num|updates|learning_rate.*)$"
)
_BOTH_SIDES = "at the image's end only, ours on both sides"

# The models repository's ResNet normalises with epsilon 1e-4, ours with 1e-5.
EPSILON_DIFFERENCE = 1e-4 - 1e-5


def our_name(name: str) -> str:
    """The name that a weight has here; `layer1.0.conv2.convs.7.weight` keeps the number of its group."""
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return name


def split_group(name: str) -> tuple:
    """`layer1.0.conv2.convs.7.weight` -> (`layer1.0.conv2.weight`, 7); any other name -> (name, None)."""
    match = _GROUP.search(name)
    return (f"{name[: match.start()]}.{name[match.end() :]}", int(match[1])) if match else (name, None)


def is_counter(name: str) -> bool:
    """Whether it counts batches or averages, which no evaluation uses."""
    return bool(_COUNTERS.search(name))


def is_training_state(name: str, names: Container) -> bool:
    """Whether it belongs to an optimizer and not to the network; `names`: all in the file."""
    copy = _COPY.match(name)
    return bool(copy and copy[1] in names or _SCALAR.match(name))


def describe_difference(names: Iterable) -> str:
    """In what the network that bore these names differs from ours, "" for not at all."""
    names = set(names)
    if "end_point.weight" in names:
        if "layer1.0.bn1d.gamma" in names:
            return ""
        return f"the models repository's ResNet pads max-pool and stride-2 convolutions {_BOTH_SIDES}"
    if "backbone.conv.weight" in names:
        return f"the models repository's ResNeXt pads the max-pool {_BOTH_SIDES}"
    if "classifier.weight" in names and {"bn1.gamma", "layer0.1.gamma"} & names:
        return f"MindCV's network pads the max-pool {_BOTH_SIDES}"
    if {"layer1.0.conv2.bn0.gamma", "layer1.0.conv2.conv.weight"} <= names:
        return f"MindCV's ResNeSt pads max-pool and average pools {_BOTH_SIDES}"
    return ""


def has_larger_epsilon(name: str, names: Container) -> bool:
    """Whether a variance, under its name in the file, was used with epsilon 1e-4 (models repository's ResNet)."""
    if not name.endswith(".moving_variance") or "end_point.weight" not in names:
        return False
    return "layer1.0.bn1d.gamma" not in names or re.search(r"\.bn\dd\.", name) is not None


def may_lack_biases(names: Iterable) -> bool:
    """Whether 1x1 convolutions of split attention come without biases: models repository's ResNeSt."""
    endings = {name.rpartition(".fc1.convs.")[2] for name in names}
    return "0.weight" in endings and "0.bias" not in endings
