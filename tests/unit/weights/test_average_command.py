"""`weights average`, as a user calls it."""

import numpy as np
import pytest
from cases import STATE, convert
from torch_writer import write_state

import eval as evaluation
from src import checkpoint
from src.weights.__main__ import main


def values_of(path) -> dict:
    return {name: value.asnumpy() for name, value in checkpoint.load(path).weights.items()}


@pytest.fixture(scope="module")
def members(trained) -> list:
    """Two checkpoints of one run."""
    paths = sorted(trained["run"].glob("resnext*.ckpt"))[:2]
    assert len(paths) == 2
    return paths


def test_the_mean_has_statistics_of_its_own_and_evaluates(trained, members, tmp_path, command):
    output = tmp_path / "mean.ckpt"
    code, out, err = command(main, "average", *members, "--output", output, "--platform", "CPU", "--images", 20)
    assert code == 0, err
    assert "running statistics of 24 training images" in out and "mean of 2 checkpoints" in out
    one, other, mean = map(values_of, (*members, output))
    for name, value in mean.items():
        expected = (one[name].astype(np.float64) + other[name]) / 2
        if ".running_" in name or name.startswith("bn1.running_"):
            assert not np.allclose(value, expected, rtol=1e-3), name  # recomputed
        else:
            np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-8)
    info = checkpoint.load(output).info
    assert info.averaged and info.class_names == checkpoint.load(members[0]).info.class_names
    code, out, err = command(
        evaluation.main, "--data_dir", trained["data"] / "val", "--pretrained", output, "--platform", "CPU", "--use_ema", 1,
        "--cache_dir", tmp_path / "cache",
    )  # fmt: skip
    assert code == 0 and "tot=33," in out, err


def test_the_same_twice_with_kept_statistics_is_the_same(members, tmp_path, command):
    output = tmp_path / "mean.ckpt"
    code, _, err = command(main, "average", members[0], members[0], "--output", output, "--keep_statistics")
    assert code == 0, err
    one, mean = values_of(members[0]), values_of(output)
    assert all((mean[name] == one[name]).all() for name in one) and set(mean) == set(one)


def test_what_is_refused(trained, members, tmp_path, command, refused):
    output = ["--output", tmp_path / "mean.ckpt"]
    line = refused(main, "average", *members, *output, "--data_dir", tmp_path / "nowhere")
    assert "nowhere" in line
    convert(command, write_state(tmp_path / "a.pth", STATE), tmp_path / "a.ckpt")
    line = refused(main, "average", members[0], tmp_path / "a.ckpt", *output)
    assert "a.ckpt: its backbone is not that of" in line
    line = refused(main, "average", tmp_path / "a.ckpt", *output)
    assert "a.ckpt: is not of a run" in line and "--keep_statistics" in line
    assert "must end in .ckpt" in refused(main, "average", *members, "--output", tmp_path / "mean.onnx")
    assert "images: expected 1 or more" in refused(main, "average", *members, *output, "--images", 0)
    assert not (tmp_path / "mean.ckpt").exists()
