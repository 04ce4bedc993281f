"""Refusing what is more than data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import refusal
from torch_writer import (
    call,
    mapping,
    named,
    number,
    sequence,
    tar_parts,
    tar_tensor,
    tensor,
    text,
    write_legacy,
    write_tar,
    write_zip,
)


def attacks(canary: Path) -> dict:
    """Pickles that create the file `canary` when they are loaded, and the name that their refusal must give."""
    command = text(f"touch '{canary}'")
    run = call("os", "system", command)
    popen = named("subprocess", "Popen") + sequence(sequence(text("touch"), text(str(canary))))
    eval_ = text(f"open({str(canary)!r}, 'w')")
    return {
        "reduce": (run, "os.system"),
        "posix": (call("posix", "system", command), "posix.system"),
        "eval": (call("builtins", "eval", eval_), "builtins.eval"),
        "eval of Python 2": (call("__builtin__", "eval", eval_), "builtins.eval"),
        "stack global": (text("os") + text("system") + b"\x93" + sequence(command) + b"R", "os.system"),
        "inst": (b"(" + command + b"ios\nsystem\n", "os.system"),
        "obj": (b"(" + named("os", "system") + command + b"o", "os.system"),
        "newobj": (popen + b"\x81", "subprocess.Popen"),
        "newobj ex": (popen + b"}\x92", "subprocess.Popen"),
        "build": (named("argparse", "Namespace") + b")\x81" + mapping({"lr": run}) + b"b", "os.system"),
        "in a tensor's arguments": (call("torch._utils", "_rebuild_parameter", run, b"\x89", b"N"), "os.system"),
        "in a key": (b"}(" + run + b"Nu", "os.system"),
        "in a persistent id": (run + b"Q", "os.system"),
    }


@pytest.mark.parametrize("kind", list(attacks(Path())))
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(kind, tmp_path, refused):
    canary = tmp_path / "canary"
    attack, name = attacks(canary)[kind]
    nested = mapping({"state_dict": mapping({"conv1.weight": tensor("0", 2), "fc.weight": attack})})
    nested_legacy = mapping({"fc.weight": attack, "conv1.weight": tensor("0", 2, legacy=True)})
    path = tmp_path / "weights.pth"
    for write, content in [(write_zip, attack), (write_zip, nested), (write_legacy, attack), (write_legacy, nested_legacy)]:
        line = refusal(refused, write(path, content, {"0": bytes(8)}))
        assert "refused: it asks for" in line and name in line and "nothing was run" in line
    for attacked in ("storages", "tensors", "pickle"):
        parts = tar_parts({1: (np.zeros(2, "<f4"), 0, (2,), (1,))})
        content = attack if attacked == "pickle" else mapping({"fc.weight": tar_tensor(1)})
        if attacked in parts:
            parts[attacked] = b"\x80\x02" + attack + b"." + parts[attacked]
        assert "refused: it asks for" in refusal(refused, write_tar(tmp_path / "tar.pth", content, parts))
    headers = path.read_bytes().index(b"\x80\x02", 20)
    path.write_bytes(path.read_bytes()[:headers] + b"\x80\x02" + attack + b"." + path.read_bytes()[headers:])
    assert "refused" in refusal(refused, path)  # in the header of the older format
    assert not canary.exists()


def test_these_files_do_run_something_in_a_plain_unpickler(tmp_path):
    for kind in ("reduce", "eval", "stack global", "inst", "obj", "build"):
        canary = tmp_path / kind.replace(" ", "_")
        content = b"\x80\x04" + attacks(canary)[kind][0] + b"."
        code = f"import pickle, time; made = pickle.loads({content!r}); time.sleep(0.3)"
        subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
        assert canary.exists(), kind


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (call("torch.storage", "_load_from_bytes", text("x")), "torch.storage._load_from_bytes"),
        (call("torchvision.models.resnet", "ResNet"), "torchvision.models.resnet.ResNet"),
        (call("torch", "FloatStorage", number(4)), "a call of torch.FloatStorage"),
        (call("builtins", "getattr", text("a"), text("b")), "builtins.getattr"),
        (call("os.path\x1b[31m", "a"), r"os.path\x1b[31m"),
        (b"\x82\x01", "the instruction EXT1"),
    ],
)
def test_what_is_no_data_is_named(content, name, tmp_path, refused):
    assert name in refusal(refused, write_zip(tmp_path / "a.pth", content, {}))


@pytest.mark.parametrize(
    "content",
    [
        b"}(](]Nu", b"(((", b"N(0", b"R", b"NNR", b"}N)\x81", b"j\xff\xff\xff\xff", b"r\xff\xff\xff\x7f", b"NN\x93R", b"",
        b"\x8e" + b"\xff" * 7 + b"\x7f", b"X\xff\xff\xff\xff", b"Nb", b"NNb", b"}NNNs", b"(Q", text("a") + b"Q",
        call("collections", "OrderedDict", text("abc")), call("torch._utils", "_rebuild_tensor_v2"),
        call("torch._utils", "_rebuild_tensor_v2", b"N", b"N", b"N", b"N", b"N", b"N"),
        call("torch._tensor", "_rebuild_from_type_v2", b"N", b"N", b")", b"N"), b"(" * 10**5,
    ],
)  # fmt: skip
@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_pickles_that_make_no_sense_are_refused(content, write, tmp_path, refused):
    path = write(tmp_path / "a.pth", content, {})
    assert str(path) in refusal(refused, path)
