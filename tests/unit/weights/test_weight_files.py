"""Which file is what, and where in it the weights are."""

import pickle
import struct

import numpy as np
import pytest
from cases import STATE, assert_holds, convert, refusal
from torch_writer import mapping, named, number, text, write_state, write_zip

from src.weights.__main__ import main


@pytest.mark.parametrize(("last", "average"), [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("model", "ema")])
def test_wrapped_and_averaged_weights(last, average, tmp_path, command, refused):
    both = {**{f"raw/{name}": value for name, value in STATE.items()}, "mean/n_averaged": np.float32(3)}
    both.update({f"mean/module.{name}": value + 1 for name, value in STATE.items()})

    def wrap(pickled: dict) -> bytes:
        parts = [
            mapping({name.split("/")[1]: value for name, value in pickled.items() if name.startswith(part)})
            for part in ("raw", "mean")
        ]
        if average == "ema":
            parts[1] = mapping({"state_dict": parts[1]})
        others = {"epoch": number(4), "args": named("argparse", "Namespace") + b")\x81" + mapping({"lr": number(1)}) + b"b"}
        return mapping({"optimizer": mapping({"state": b"}"}), average: parts[1], last: parts[0], **others})

    source = write_state(tmp_path / "a.pth", both, wrap=wrap)
    out, _ = convert(command, source, tmp_path / "a.ckpt")
    assert f"weights in '{last}'" in out and f"averaged weights too ('{average}'); --ema takes those" in out
    assert_holds(tmp_path / "a.ckpt", STATE)
    out, _ = convert(command, source, tmp_path / "b.ckpt", "--ema")
    assert "averaged weights taken" in out
    assert_holds(tmp_path / "b.ckpt", {name: value + 1 for name, value in STATE.items()})

    only = write_state(tmp_path / "c.pth", STATE, wrap=lambda pickled: mapping({average: mapping(pickled)}))
    assert "import it with --ema" in refusal(refused, only)
    assert "import it without --ema" in refusal(refused, write_state(tmp_path / "d.pth", STATE), "--ema")


def test_a_file_without_weights_is_one_line(tmp_path, refused):
    line = refusal(refused, write_zip(tmp_path / "a.pth", mapping({"epoch": number(3), "history": b"}"}), {}))
    assert "no weights" in line and "'history'" in line
    own = b"}q\x00(" + text("model") + b"h\x00u"  # a dictionary that holds itself
    assert "no weights" in refusal(refused, write_zip(tmp_path / "a.pth", own, {}))
    assert "it holds list" in refusal(refused, write_zip(tmp_path / "a.pth", b"]", {}))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither a PyTorch"),
        (b"hello " * 50, "neither a PyTorch"),
        (b"<!DOCTYPE html>" * 9, "neither a PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS"),
        (pickle.dumps({"a": 1}, 2), "torch.save did not write"),
        (b"PK\x03\x04" + bytes(100), "truncated"),
        (struct.pack("<Q", 1000) + b'{"a": 1}', "cannot be read as safetensors"),
        (struct.pack("<Q", 2) + b"{}", "no weights"),
        (b"\x0a" + bytes(50), "not a MindSpore checkpoint"),
    ],
)
def test_files_that_hold_no_weights(content, reason, tmp_path, refused):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    line = refusal(refused, path)
    assert reason in line and str(path) in line


@pytest.mark.parametrize("name", ["zip", "legacy", "ckpt", "safetensors"])
def test_truncated_files_are_refused(name, tmp_path, command, refused):
    source = write_state(tmp_path / "a.pth", STATE, legacy=name == "legacy")
    if name in ("ckpt", "safetensors"):
        convert(command, source, tmp_path / f"b.{name}")
        source = tmp_path / f"b.{name}"
    content = source.read_bytes()
    for length in (len(content) // 3, len(content) - 10):
        source.write_bytes(content[:length])
        assert str(source) in refusal(refused, source)


def test_missing_files_and_outputs_of_another_kind_are_one_line(tmp_path, refused):
    assert "no such file" in refusal(refused, tmp_path / "b.pth")
    source = write_state(tmp_path / "c.pth", STATE)
    line = refused(main, "--backbone", "resnet20", "--source", source, "--output", tmp_path / "c.onnx")
    assert "must end in .ckpt or .safetensors" in line
    line = refused(main, "--backbone", "resnet20", "--source", source, "--output", source / "c.ckpt")
    assert "cannot be written" in line
