"""Every tensor accounted for, and what a checkpoint says of itself."""

import re
from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from cases import STATE, assert_holds, convert, draw, refusal, shapes_of, write_mindspore, write_safetensors
from peers import cadene, mindcv, mindspore, models_resnest, models_resnet, models_resnet18, models_resnext
from torch_writer import write_state

from src import checkpoint
from src.config import build_config
from src.formats.opening import load_classifier
from src.models.create import create_model
from src.networks import registry
from src.networks.registry import find_model
from src.weights.__main__ import main


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("ending", ["pth", "ckpt", "pth.tar"])  # the content tells the format
def test_weights_come_in_bit_by_bit_with_what_is_needed_to_use_them(legacy, ending, tmp_path, command):
    counters = {"bn1.num_batches_tracked": np.float32(5), "layer1.0.bn1.num_batches_tracked": np.float32(5)}
    source = write_state(tmp_path / f"source.{ending}", {**STATE, **counters}, legacy)
    convert(command, source, tmp_path / "a.ckpt")
    info = assert_holds(tmp_path / "a.ckpt", STATE)
    assert info.model_fields_set == {"backbone", "num_classes", "padding", "class_names", "preprocessing", "source"}
    assert (info.backbone, info.num_classes, info.class_names) == ("resnet20", 7, ())
    assert info.padding == "symmetric"
    assert info.preprocessing.image_size == (32, 32) and info.preprocessing.antialias is True
    assert info.source.file == source.name and len(info.source.sha256) == 64
    assert info.source.format == ("PyTorch legacy" if legacy else "PyTorch zip")
    classifier = load_classifier(tmp_path / "a.ckpt", build_config({}))
    assert classifier.num_classes == 7 and classifier.classify(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 7)


@pytest.mark.parametrize("value", ["{}", "[1]", "no JSON", '{"class_names": 3}', '{"class_names": ["a"]}', "null"])
def test_metadata_that_makes_no_sense_is_not_used(value, tmp_path, command):
    tensors = {name: ("F32", values) for name, values in STATE.items()}
    path = write_safetensors(tmp_path / "a.safetensors", tensors, {"format": "pt", "resnet_zoo": value})
    convert(command, path, tmp_path / "a.ckpt")
    assert assert_holds(tmp_path / "a.ckpt", STATE).class_names == ()


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
def test_other_precisions_become_float32_and_that_is_said(dtype, tmp_path, command):
    def stored(values: np.ndarray) -> np.ndarray:
        if dtype == "BF16":
            return (values.view(np.uint32) >> 16).astype(np.uint16)
        return values.astype({"F16": np.float16, "F64": np.float64}[dtype])

    arrays = {name: stored(values) for name, values in STATE.items()}
    path = write_safetensors(tmp_path / "a.safetensors", {name: (dtype, array) for name, array in arrays.items()})
    out, _ = convert(command, path, tmp_path / "a.ckpt")
    name = {"F16": "float16", "BF16": "bfloat16", "F64": "float64"}[dtype]
    assert f"{len(STATE)} of {len(STATE)} tensors converted from {name} to float32" in out

    def widened(array: np.ndarray) -> np.ndarray:
        return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else array.astype(np.float32)

    assert_holds(tmp_path / "a.ckpt", {name: widened(array) for name, array in arrays.items()})


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_weight_that_is_not_finite_is_named(value, tmp_path, refused):
    broken = {name: ("F64", values.astype(np.float64)) for name, values in STATE.items()}
    broken["layer2.0.bn1.bias"][1][3] = value
    line = refusal(refused, write_safetensors(tmp_path / "a.safetensors", broken))
    assert "layer2.0.bn1.bias holds NaN, Inf or a number beyond float32" in line


def test_integers_are_no_weights(tmp_path, refused):
    tensors = {name: ("F32", values) for name, values in STATE.items()}
    tensors["fc.bias"] = ("I64", np.arange(7))
    line = refusal(refused, write_safetensors(tmp_path / "a.safetensors", tensors))
    assert "fc.bias is of type int64" in line


def test_every_tensor_is_accounted_for(tmp_path, command, refused):
    changed = {**STATE, "fc.weight": np.zeros((7, 65)), "layer9.weight": np.zeros(3), "a\nb": np.zeros(2)}
    for name in ("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean"):
        del changed[name]
    path = write_state(tmp_path / "a.pth", changed)
    line = refusal(refused, path)
    for part in (
        "does not fit resnet20", "4 missing (conv1.weight, bn1.", ", ...); ", r"2 unknown (layer9.weight, 'a\nb')",
        "1 of another shape (fc.weight (7, 65) instead of (7, 64))", "--backbone",
    ):  # fmt: skip
        assert part in line
    _, _, err = command(main, "--backbone", "resnet20", "--source", path, "--output", tmp_path / "b.ckpt")
    (listed,) = [line for line in err.splitlines() if line.startswith("4 missing: ")]
    assert sorted(listed[len("4 missing: ") :].split(", ")) == sorted(set(STATE) - set(changed))


def test_weights_of_another_network_are_refused(tmp_path, refused):
    path = write_state(tmp_path / "a.pth", STATE)
    assert "missing (layer1.3" in refusal(refused, path, backbone="resnet32")
    line = refusal(refused, path, backbone="resnext11_8x16d")
    assert "does not fit resnext11_8x16d" in line and "missing" in line and "unknown" in line and "another shape" in line
    assert "unknown network 'resnet21'; did you mean" in refusal(refused, path, backbone="resnet21")


def test_a_classifier_whose_parts_disagree_is_refused(tmp_path, refused):
    line = refusal(refused, write_state(tmp_path / "a.pth", {**STATE, "fc.bias": np.zeros(6)}))
    assert "1 of another shape (fc.bias (6,) instead of (7,))" in line
    line = refusal(refused, write_state(tmp_path / "a.pth", {**STATE, "fc.weight": np.zeros((0, 64))}))
    assert "fc.weight" in line
    line = refusal(refused, write_state(tmp_path / "a.pth", {**STATE, "module.fc.bias": np.zeros(7)}))
    assert "2 tensors would be fc.bias" in line


@pytest.mark.parametrize("ending", ["ckpt", "bin"])
def test_what_mindcvs_trainer_adds_is_left_out(ending, tmp_path, command):
    state = draw(shapes_of("resnext11_8x16d", 4))
    theirs = mindcv(state)
    training = {
        **{f"moments.{name}": values for name, values in theirs.items() if "moving" not in name},
        **{f"ema.{name}": values + 1 for name, values in theirs.items()},
        "learning_rate": np.zeros(40, np.float32), "momentum": np.float32([0.9]), "global_step": np.int32([3]),
    }  # fmt: skip
    path = write_mindspore(tmp_path / f"a.{ending}", {**theirs, **training})
    out, _ = convert(command, path, tmp_path / "out.ckpt", backbone="resnext11_8x16d")
    assert_holds(tmp_path / "out.ckpt", state)
    assert f"{3 + sum('running' not in name for name in state)} tensors of an optimizer are left out" in out
    assert "--ema takes those" in out
    convert(command, path, tmp_path / "ema.ckpt", "--ema", backbone="resnext11_8x16d")
    info = assert_holds(tmp_path / "ema.ckpt", {name: values + 1 for name, values in state.items()})
    assert info.padding == "same_pools"


@pytest.fixture
def small_se(monkeypatch) -> None:
    """Networks of one block per stage: small_seresnet and small_seresnext."""
    for small, name in [("small_seresnet", "seresnet50"), ("small_seresnext", "seresnext50_32x4d")]:
        monkeypatch.setitem(registry._MODELS, small, replace(find_model(name), stage_sizes=(1, 1, 1, 1)))


PEERS = [  # what renames, our network, its padding, some of their names, what the log says
    (mindcv, "resnext11_8x16d", "same_pools", {"layer1.0.down_sample.1.moving_variance", "classifier.bias"}, "'same_pools'"),
    (models_resnext, "resnext11_8x16d", "same_pools",
     {"backbone.conv.weight", "backbone.layer1.0.conv2.convs.7.weight", "backbone.layer2.0.down_sample.bn.beta",
      "head.fc.bias"}, "3 grouped convolutions joined"),
    (models_resnet, "resnext11_8x16d", "same", {"layer2.0.down_sample_layer.1.beta"}, "13 variances raised by 9e-05"),
    (models_resnet18, "resnet20", "symmetric", {"bn1.gamma", "layer1.0.bn1d.moving_variance"}, "18 variances raised"),
    (mindspore, "resnest14d", "same_pools", {"layer1.0.conv2.bn0.gamma"}, "'same_pools'"),
    (models_resnest, "resnest14d", "symmetric",
     {"conv1.1.gamma", "layer1.0.conv2.conv.convs.1.weight", "layer1.0.downsample.2.moving_mean"}, "set to zero"),
    (cadene, "small_seresnext", "same_pools", {"layer0.conv1.weight", "layer4.0.se_module.fc2.bias"}, "'same_pools'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rename", "backbone", "padding", "names", "said"),
    PEERS,
    ids=[f"{case[0].__name__}-{case[1]}" for case in PEERS],
)
def test_other_programs_names_and_networks(small_se, rename, backbone, padding, names, said, tmp_path, command):
    state = draw(shapes_of(backbone, 3))
    theirs = rename(state)
    assert names <= set(theirs)
    source = write_mindspore(tmp_path / "a.ckpt", {f"network.{name}": values for name, values in theirs.items()})
    out, err = convert(command, source, tmp_path / "out.ckpt", backbone=backbone)
    assert said in out and not err
    larger_epsilon = {models_resnet: r"running_var$", models_resnet18: r"^layer.*running_var$"}.get(rename)
    for name, values in state.items():
        if larger_epsilon and re.search(larger_epsilon, name):
            state[name] = values + np.float32(9e-5)
        elif rename is models_resnest and name.endswith((".fc1.bias", ".fc2.bias")):
            state[name] = np.zeros_like(values)
    info = assert_holds(tmp_path / "out.ckpt", state)
    assert info.padding == padding and info.preprocessing.antialias is False


def test_groups_that_do_not_add_up_are_refused(tmp_path, refused):
    theirs = models_resnext(draw(shapes_of("resnext11_8x16d", 4)))
    del theirs["backbone.layer2.0.conv2.convs.3.weight"]
    line = refusal(refused, write_mindspore(tmp_path / "b.ckpt", theirs), backbone="resnext11_8x16d")
    assert "7 tensors would be layer2.0.conv2.weight" in line and "do not add up" in line


def test_se_resnet_with_another_stride_is_refused(small_se, tmp_path, refused):
    theirs = cadene(draw(shapes_of("small_seresnet", 2)))
    line = refusal(refused, write_mindspore(tmp_path / "a.ckpt", theirs), backbone="small_seresnet")
    assert "stride on the first 1x1 convolution" in line and "timm's seresnet50" in line


def test_an_imported_network_pads_as_the_files(tmp_path, command):
    state = draw(shapes_of("resnext11_8x16d", 4))
    convert(
        command, write_mindspore(tmp_path / "a.ckpt", models_resnet(state)), tmp_path / "b.ckpt", backbone="resnext11_8x16d"
    )
    classifier = load_classifier(tmp_path / "b.ckpt", build_config({"cpu_kernels": "stock"}))
    images = np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32)
    logits = {}
    for padding in ("symmetric", "same"):
        network = create_model("resnext11_8x16d", 4, padding=padding).set_train(False)
        checkpoint.load_into(network, checkpoint.load(tmp_path / "b.ckpt"))
        logits[padding] = network(ms.Tensor(images)).asnumpy()
    assert np.array_equal(classifier.classify(images), logits["same"])
    assert np.abs(logits["same"] - logits["symmetric"]).max() > 1e-3 * np.abs(logits["same"]).max()
