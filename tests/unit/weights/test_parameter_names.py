import pytest
from cases import STATE, assert_holds, convert, shapes_of
from torch_writer import write_state

from src.weights.parameter_names import find_padding, is_training_state, our_name, split_group


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module.module.", "model."])
def test_prefixes_are_taken_off(prefix, tmp_path, command):
    source = write_state(tmp_path / "a.pth", {prefix + name: values for name, values in STATE.items()})
    convert(command, source, tmp_path / "a.ckpt")
    assert_holds(tmp_path / "a.ckpt", STATE)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("layer0.0.weight", "conv1.weight"),  # MindCV's SENet
        ("layer0.1.moving_variance", "bn1.running_var"),
        ("layer0.conv1.weight", "conv1.weight"),  # Cadene's SENet
        ("layer0.bn1.running_var", "bn1.running_var"),
        ("layer3.5.se_module.fc2.bias", "layer3.5.se.fc2.bias"),
        ("last_linear.bias", "fc.bias"),
        ("layer1.0.se_module.conv_reduce.bias", "layer1.0.se.fc1.bias"),
        ("layer4.2.se_module.conv_expand.weight", "layer4.2.se.fc2.weight"),
        ("backbone.layer1.0.se.fc1.weight", "layer1.0.se.fc1.weight"),  # models repository's SE-ResNeXt
        ("backbone.layer2.0.down_sample.bn.beta", "layer2.0.downsample.1.bias"),
        ("layer3.0.down_sample_layer.0.weight", "layer3.0.downsample.0.weight"),  # models repository's ResNet
        ("layer3.0.bn2d.gamma", "layer3.0.bn2.weight"),
        ("end_point.bias", "fc.bias"),
        ("conv1.4.moving_mean", "conv1.4.running_mean"),  # ResNeSt
        ("layer1.0.conv2.bn0.gamma", "layer1.0.conv2.bn0.weight"),
        ("module.layer1.0.conv2.fc1.bias", "layer1.0.conv2.fc1.bias"),
    ],
)
def test_names(theirs, ours):
    assert our_name(theirs) == ours
    assert our_name(ours) == ours


def test_what_an_optimizer_adds_is_told_from_weights():
    names = {"conv1.weight", "moments.conv1.weight", "linear.conv1.weight", "linear.weight", "exp_avg_sq_conv1.weight"}
    kept = {name for name in names if not is_training_state(name, names)}
    assert kept == {"conv1.weight", "linear.weight"}
    assert is_training_state("learning_rate", names) and is_training_state("scale_sense", names)


def test_no_name_of_ours_is_changed_or_taken_for_an_optimizers():
    for backbone in ("resnet18", "seresnet50", "resnest14d", "resnet50d"):
        for name in shapes_of(backbone, 2):
            assert our_name(name) == name and split_group(name) == (name, None) and not is_training_state(name, {name})


@pytest.mark.parametrize(
    ("names", "padding"),
    [
        ({"bn1.gamma", "classifier.weight"}, "same_pools"),  # MindCV
        ({"layer0.1.gamma", "classifier.weight"}, "same_pools"),
        ({"layer1.0.conv2.bn0.gamma", "layer1.0.conv2.conv.weight"}, "same_pools"),
        ({"layer1.0.conv2.bn0.gamma", "layer1.0.conv2.conv.convs.0.weight"}, "symmetric"),  # models repository
        ({"backbone.conv.weight"}, "same_pools"),
        ({"end_point.weight", "bn1.gamma"}, "same"),
        ({"end_point.weight", "layer1.0.bn1d.gamma"}, "symmetric"),
        ({"layer0.conv1.weight", "last_linear.weight"}, "same_pools"),  # Cadene's SENet
        ({"conv1.weight", "bn1.weight", "last_linear.weight"}, "symmetric"),  # Cadene's ResNet
        ({"conv1.weight", "bn1.weight", "fc.weight"}, "symmetric"),  # torchvision, timm, ours
    ],
)
def test_names_tell_the_padding(names, padding):
    assert find_padding(names) == padding
