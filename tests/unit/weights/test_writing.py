import numpy as np
import safetensors.numpy
from cases import STATE, assert_holds, convert, draw, refusal, shapes_of, write_mindspore, write_safetensors
from peers import models_resnext
from torch_writer import write_state

from src import checkpoint


def test_a_checkpoint_goes_to_safetensors_and_back(tmp_path, command, refused):
    convert(command, write_state(tmp_path / "a.pth", STATE), tmp_path / "a.ckpt")
    convert(command, tmp_path / "a.ckpt", tmp_path / "b.safetensors")
    exported = safetensors.numpy.load_file(tmp_path / "b.safetensors")
    counters = {name for name in exported if name.endswith(".num_batches_tracked")}
    assert set(exported) - counters == set(STATE)
    assert counters == {name.replace("running_var", "num_batches_tracked") for name in STATE if "running_var" in name}
    assert all(exported[name].dtype == np.int64 and exported[name].shape == () for name in counters)
    convert(command, tmp_path / "b.safetensors", tmp_path / "c.ckpt")
    assert_holds(tmp_path / "c.ckpt", STATE)
    line = refusal(refused, tmp_path / "a.ckpt", backbone="resnet32")
    assert "resnet32 was asked for, but" in line and "holds resnet20" in line


def test_classes_and_preprocessing_go_to_safetensors_and_back(trained, tmp_path, command):
    network = checkpoint.load(trained["ckpt"])
    convert(command, trained["ckpt"], tmp_path / "a.safetensors", backbone="resnext11_8x16d")
    convert(command, tmp_path / "a.safetensors", tmp_path / "b.ckpt", backbone="resnext11_8x16d")
    info = assert_holds(tmp_path / "b.ckpt", {name: value.asnumpy() for name, value in network.weights.items()})
    for key in ("class_names", "preprocessing", "num_classes"):
        assert getattr(info, key) == getattr(network.info, key)
    assert checkpoint.load(tmp_path / "b.ckpt").run is None


def test_padding_goes_to_safetensors_and_back(tmp_path, command, refused):
    state = draw(shapes_of("resnext11_8x16d", 3))
    files = [tmp_path / name for name in ("theirs.ckpt", "a.ckpt", "a.safetensors", "b.ckpt")]
    write_mindspore(files[0], models_resnext(state))
    for source, output in zip(files, files[1:]):
        _, err = convert(command, source, output, backbone="resnext11_8x16d")
        warning = "pad symmetrically, this network 'same_pools': their logits will differ\n"
        assert err.endswith(warning) if output.suffix == ".safetensors" else not err
    assert assert_holds(files[-1], state).padding == "same_pools"


def test_a_padding_of_a_later_version_is_refused(tmp_path, refused):
    tensors = {name: ("F32", values) for name, values in STATE.items()}
    said = {"format": "pt", "resnet_zoo": '{"padding": "reflect"}'}
    line = refusal(refused, write_safetensors(tmp_path / "a.safetensors", tensors, said))
    assert "padding: this version builds networks with symmetric, same_pools, same" in line and "'reflect'" in line
