"""Names that other programs give to the same weights, as rules; and what the names tell of the network that bore them.

MindCV: mindcv/models/{resnet,senet,resnest}.py, 0.2.2 and later. MindSpore's models repository, master of July 2023:
official/cv/ResNet, research/cv/{ResNeXt,resnext152_64x4d,SE_ResNeXt50,ResNeSt50}. Cadene/pretrained-models.pytorch:
pretrainedmodels/models/senet.py, which timm's legacy_se* networks follow. torchvision, timm and the ResNeSt authors use the
names that we use.
"""

import re
from collections.abc import Container
from typing import Optional

# DataParallel, torch.compile, Lightning, MindSpore's WithLossCell
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod|model|network|_backbone)\.)+")
_RULES = [
    (re.compile(pattern), name)
    for pattern, name in [
        (r"^(?:backbone|head)\.", ""),  # models repository's ResNeXt
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
        (r"^layer0\.((?:conv|bn)1)\.", r"\1."),  # Cadene's SENet
        (r"\.se_module\.(fc\d)\.", r".se.\1."),
        (r"\.se_module\.conv_reduce\.", ".se.fc1."),
        (r"\.se_module\.conv_expand\.", ".se.fc2."),
        (r"\.bn(\d)d\.", r".bn\1."),  # models repository's ResNet-18 and -34
        (r"^(?:classifier|end_point|last_linear)\.", "fc."),
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
# The models repository's ResNet normalizes with epsilon 1e-4, ours with 1e-5.
EPSILON_DIFFERENCE = 1e-4 - 1e-5


def our_name(name: str) -> str:
    """The name that a weight has here; `layer1.0.conv2.convs.7.weight` keeps the number of its group."""
    name = without_wrappers(name)
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return name


def without_wrappers(name: str) -> str:
    """`module.fc.bias` -> `fc.bias`: the name in the network itself."""
    return _WRAPPERS.sub("", name)


def split_group(name: str) -> tuple[str, Optional[int]]:
    """`layer1.0.conv2.convs.7.weight` -> (`layer1.0.conv2.weight`, 7); any other name -> (name, None)."""
    match = _GROUP.search(name)
    return (f"{name[: match.start()]}.{name[match.end() :]}", int(match[1])) if match else (name, None)


def is_counter(name: str) -> bool:
    """Whether it counts batches or averages, which no evaluation uses."""
    return bool(_COUNTERS.search(name))


def is_training_state(name: str, names: Container[str]) -> bool:
    """Whether it belongs to an optimizer and not to the network; `names`: all in the file."""
    copy = _COPY.match(name)
    return bool(copy and copy[1] in names or _SCALAR.match(name))


# Below, `names` are all names in the file, without wrappers.


def find_padding(names: Container[str]) -> str:
    """The padding (explained at `ResNetSpec`) of the network that bore these names.

    "same_pools": MindCV, the models repository's ResNeXt, and Cadene, whose pool has no padding but rounds the size of its
    output up: no difference on images of 4n pixels. "same": the models repository's ResNet-50, -101 and -152. "symmetric":
    its ResNet-18 and -34, its ResNeSt, and all who use our names.
    """
    if "end_point.weight" in names:
        return "symmetric" if "layer1.0.bn1d.gamma" in names else "same"
    mindcv_plain = "classifier.weight" in names and ("bn1.gamma" in names or "layer0.1.gamma" in names)
    mindcv_resnest = "layer1.0.conv2.bn0.gamma" in names and "layer1.0.conv2.conv.weight" in names
    same_pools = mindcv_plain or mindcv_resnest or "backbone.conv.weight" in names or is_cadene_senet(names)
    return "same_pools" if same_pools else "symmetric"


def is_cadene_senet(names: Container[str]) -> bool:
    """Whether Cadene's SENet bore these names; its SE-ResNets, not its SE-ResNeXts, halve the image in a 1x1 convolution."""
    return "layer0.conv1.weight" in names and "last_linear.weight" in names


def has_larger_epsilon(name: str, names: Container[str]) -> bool:
    """Whether a variance, under its name in the file, was used with epsilon 1e-4 (models repository's ResNet)."""
    if not name.endswith(".moving_variance") or "end_point.weight" not in names:
        return False
    return "layer1.0.bn1d.gamma" not in names or re.search(r"\.bn\dd\.", name) is not None


def lacks_biases(names: Container[str]) -> bool:
    """Whether 1x1 convolutions of split attention come without biases: models repository's ResNeSt."""
    return "layer1.0.conv2.fc1.convs.0.weight" in names and "layer1.0.conv2.fc1.convs.0.bias" not in names
