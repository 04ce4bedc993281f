"""Which kernels a run takes, what it says where it cannot have ours, and how they are built."""

import dataclasses
import os
import shutil
import subprocess
import sys

import mindspore as ms
import numpy as np
import pytest

import train
from conftest import ROOT
from src import checkpoint, device
from src.config import build_config
from src.cpu import choice, libraries
from src.errors import UserError
from src.models.blocked import compute_in_bfloat16, is_blocked
from src.models.create import create_model
from src.networks import registry
from src.networks.registry import find_model
from src.training.build import create_network
from src.training.resume import numbered_checkpoints


@pytest.fixture
def built():
    try:
        libraries.build()
        libraries.check()
    except libraries.UnavailableError as error:
        pytest.skip(f"no blocked kernels: {error}")


def chosen(platform="CPU", **keys) -> str:
    return choice.choose_kernels(build_config(keys), platform)


def test_they_are_taken_where_they_are_built(built):
    assert chosen() == chosen(cpu_kernels="blocked") == "blocked"
    assert chosen(cpu_kernels="stock") == "stock"
    assert chosen(platform="Ascend") == "stock"
    network = create_network(build_config({"backbone": "resnet20", "cpu_kernels": "blocked"}))
    assert is_blocked(network) and not is_blocked(create_network(build_config({"backbone": "resnet20"})))


def test_other_precisions_take_mindspores(built):
    assert chosen(amp_level="O1") == chosen(amp_level="O2") == "stock"
    with pytest.raises(UserError, match=r"cpu_kernels: blocked .* not with O2 in float16; pass --cpu_kernels auto"):
        chosen(cpu_kernels="blocked", amp_level="O2")


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("library", "not built; python -m src.cpu builds them where g"),
        ("instructions", "they need an x86-64 CPU with AVX2"),
        ("onednn", "MindSpore's oneDNN is not version 3"),
        ("version", r"they are not made for MindSpore's oneDNN 3\.\d+ with runtime 8"),
    ],
)
def test_without_them_one_line_says_why(missing, reason, built, monkeypatch, tmp_path, caplog):
    if missing == "library":
        monkeypatch.setattr(libraries, "BUILT", tmp_path)
    elif missing == "instructions":
        monkeypatch.setattr(libraries, "_cpu_flags", lambda: {"sse4_2"})
    elif missing == "onednn":
        monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: None)
    else:
        monkeypatch.setattr(libraries, "_VERSIONS", range(0))
    choice._say.cache_clear()
    caplog.set_level("INFO", "resnet_zoo")
    assert chosen() == chosen() == "stock"
    assert len(caplog.messages) == 1
    with pytest.raises(UserError, match=f"cpu_kernels: blocked kernels cannot be used: {reason}.*; pass --cpu_kernels auto"):
        chosen(cpu_kernels="blocked")


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [(None, r"g\+\+ is not installed"), ("exit 1", "failed: "), ("echo 'error: x' >&2; exit 1", "error: x")],
)
def test_a_build_that_fails_says_why_and_leaves_nothing(compiler, reason, monkeypatch, tmp_path):
    monkeypatch.setattr(libraries, "BUILT", tmp_path / "build")
    monkeypatch.setattr(libraries, "_onednn", lambda: tmp_path / "libdnnl.so.3")  # older releases of MindSpore have none
    if compiler:
        program = tmp_path / "g++"
        program.write_text(f"#!/bin/sh\n{compiler}\n")
        program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name) if compiler else None)
    with pytest.raises(libraries.UnavailableError, match=reason):
        libraries.build()
    assert not list(tmp_path.glob("build/*"))


def test_the_command_says_what_there_is(built):
    command = [sys.executable, "-m", "src.cpu"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.startswith("cpu_kernels: ") and "libblocked" in run.stdout


def test_a_rank_computes_on_the_cores_that_the_launcher_left_to_it(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert device.kernel_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "10000")
    assert device.kernel_threads() == device.available_cores()


def test_mindspores_fast_path_is_left_out_only_where_no_convolution_is_its_own():
    environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
    code = "import os, sys; from src import device; device.set_environment('CPU', sys.argv[1] == '1')\n"
    code += "print(os.environ.get('ONEDNN_MAX_CPU_ISA'))"
    found = [
        subprocess.run(
            [sys.executable, "-c", code, own], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        for own in "01"
    ]
    assert found[1].stdout.strip() == "None"
    assert found[0].stdout.strip() == ("AVX2" if device._has_slow_convolutions() else "None")


@pytest.mark.parametrize(
    ("instructions", "flag", "form"),
    [("AVX512_CORE_BF16", "avx512_bf16", (2, 16)), ("AVX512_CORE_AMX", "amx_bf16", (1, 32))],
)
def test_bfloat16_trains_as_float32_does(instructions, flag, form, built):
    """In a process of its own, since bfloat16 needs what the tests' own process has hidden."""
    if flag not in libraries._cpu_flags():
        pytest.skip(f"this CPU has no {flag}")
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions}
    code = f"import sys; sys.path[:0] = ['tests', 'tests/unit']; import {__name__} as t; t.print_losses()"
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    *losses, kinds = run.stdout.splitlines()[-4:]
    exact, rounded, again = (np.array(line.split(), float) for line in losses)
    assert kinds == f"BFloat16 Float32 {form}"
    assert exact[-1] < 0.98 * exact[0]
    np.testing.assert_allclose(rounded, exact, rtol=0.05)
    assert not np.array_equal(rounded, exact)
    np.testing.assert_array_equal(rounded, again)


def print_losses() -> None:
    """Losses of some steps in float32, then twice in bfloat16; types of activations and of weights, form of activations."""
    from src.training.build import create_step

    registry._MODELS["small"] = dataclasses.replace(find_model("resnext11_8x16d"), squeeze=True)
    bfloat16 = {"amp_level": "O2", "amp_dtype": "bfloat16"}
    for precision in ({}, bfloat16, bfloat16):
        config = build_config({"backbone": "small", "num_classes": 4, "cpu_kernels": "blocked", **precision})
        device.prepare(config, own_convolutions=True)
        ms.set_context(mode=ms.PYNATIVE_MODE)  # nothing to compile
        step = create_step(create_network(config), np.full(8, 0.01, np.float32), config, "CPU").set_train()
        rng = np.random.default_rng(0)
        images, labels = rng.standard_normal((8, 3, 16, 16), np.float32), np.arange(8, dtype=np.int32) % 4
        print(*(float(step(ms.Tensor(images), ms.Tensor(labels))[0].asnumpy()) for _ in range(4)))
    network = compute_in_bfloat16(create_model("small", 4, kernels="blocked"))
    activations = network.bn1(network.conv1(ms.Tensor(images)))
    print(activations.dtype, network.conv1.weight.dtype, activations.shape[1::3])


def test_a_run_records_its_kernels(built, trained):
    assert checkpoint.load(trained["ckpt"]).resumable.config["cpu_kernels"] == "blocked"


def test_evaluation_takes_them(built, trained, monkeypatch):
    from src.formats import opening

    made = []
    folded_copy = opening.folded_copy
    monkeypatch.setattr(opening, "folded_copy", lambda *arguments: made.append(folded_copy(*arguments)) or made[-1])
    images = np.random.default_rng(0).standard_normal((2, 3, 16, 16), np.float32)
    logits = [
        opening.load_classifier(trained["ckpt"], build_config({"platform": "CPU", "cpu_kernels": kernels})).classify(images)
        for kernels in ("auto", "stock")
    ]
    assert len(made) == 1
    network, _ = opening.restore_network(trained["ckpt"], build_config({"platform": "CPU"}))
    assert not is_blocked(network)  # what exports are made of
    stages = [opening.inside_of(each).last_stage(images)[0] for each in (made[0], network)]
    assert stages[0].shape == stages[1].shape  # (N, C, h, w), whatever the layout
    np.testing.assert_allclose(*stages, rtol=0, atol=1e-4 * np.abs(stages[1]).max())
    np.testing.assert_allclose(*logits, rtol=0, atol=1e-4 * np.abs(logits[1]).max())


def test_a_resumed_run_ends_with_the_same_bits(built, trained, tmp_path, command):
    run = tmp_path / "run"
    shutil.copytree(trained["run"], run)
    newest, *earlier = numbered_checkpoints(run)
    assert earlier
    for name in (newest.name, "last.ckpt", "best.ckpt"):
        (run / name).unlink()
    arguments = [str(run) if value == str(trained["run"]) else value for value in trained["arguments"]]
    code, _, err = command(train.main, *arguments, "--resume", "auto")
    assert code == 0, err
    ends = [checkpoint.load(path / "last.ckpt") for path in (run, trained["run"])]
    ours, theirs = ({**end.weights, **end.resumable.tensors} for end in ends)
    assert set(ours) == set(theirs)
    assert not [name for name in ours if ours[name].asnumpy().tobytes() != theirs[name].asnumpy().tobytes()]
