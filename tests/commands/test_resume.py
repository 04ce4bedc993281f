"""Interrupted and resumed: the same weights, bit for bit, and a clear word where that cannot be."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import train
from conftest import CLASSES, ROOT, TINY, write_image
from src import checkpoint
from src.config import build_config
from src.cpu import libraries
from src.device import available_cores
from src.errors import UserError
from src.model_info import Best, ModelInfo
from src.training import resume

# Everything that keeps a state of its own is on.
FULL = {
    "per_batch_size": 4, "accumulate_steps": 2, "max_epoch": 3, "lr": 0.02, "ckpt_interval": 1, "ckpt_interval_epochs": 1,
    "keep_checkpoint_max": 100, "log_interval": 1, "eval_batch_size": 33, "amp_level": "O2", "is_dynamic_loss_scale": 1,
    "loss_scale_window": 2, "ema_decay": 0.9, "clip_grad_norm": 5, "drop_rate": 0.1, "drop_path_rate": 0.1, "nesterov": 1,
    "mixup_alpha": 0.2, "cutmix_alpha": 1.0, "auto_augment": "randaugment", "random_erase_prob": 0.5, "tensorboard": 1,
    "sampling": "balanced", "images_per_class": 11, "class_weights": "1,0.5,2", "focal_gamma": 1.5,
}  # fmt: skip
# Without what takes long to compile.
PLAIN = {"accumulate_steps": 1, "is_dynamic_loss_scale": 0, "ema_decay": 0, "amp_level": "O0", "clip_grad_norm": 0}


def arguments(data, run, **values) -> list:
    settings = {"data_dir": data, "ckpt_path": run, "cache_dir": run.parent / "cache", **FULL, **values}
    return [*TINY, *[text for key, value in settings.items() for text in (f"--{key}", str(value))]]


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    """An uninterrupted run: 36 images, 4 steps of two batches an epoch, 12 steps, a checkpoint after each."""
    from src.errors import run_command

    run = tmp_path_factory.mktemp("whole") / "run"
    assert run_command(train.main, arguments(trained["data"], run)) == 0
    return run


@pytest.mark.slow
def test_a_run_whose_crops_have_grown_ends_as_the_uninterrupted_one(trained, tmp_path, command):
    growing = {
        "data_dir": trained["data"], "cache_dir": tmp_path / "cache", "ckpt_path": tmp_path / "whole", "per_batch_size": 12,
        "max_epoch": 2, "ckpt_interval": 1, "keep_checkpoint_max": 9, "mixup_alpha": 0.2, "cutmix_alpha": 1.0,
        "random_erase_prob": 0.5, "train_image_size": "12@0,16@1", "report": 0,
    }  # fmt: skip

    def run(**values) -> str:
        given = {**growing, **values}
        options = [text for key, value in given.items() for text in (f"--{key}", str(value))]
        code, out, err = command(train.main, *TINY, *options)
        assert code == 0, err
        return out

    assert "epoch 2: crops of 16 x 16 pixels; the step is compiled anew" in run()
    assert checkpoint.load(tmp_path / "whole/last.ckpt").info.preprocessing.image_size == (16, 16)
    interrupted_after(tmp_path / "whole", tmp_path / "resumed", 4)
    assert "after step 4 of 6" in run(ckpt_path=tmp_path / "resumed", resume="auto")
    assert_same_end(tmp_path / "resumed", tmp_path / "whole")


def tensors(path) -> dict:
    saved = checkpoint.load(path)
    return {name: value.asnumpy() for name, value in {**saved.weights, **saved.run.tensors}.items()}


def assert_same_end(run, whole) -> None:
    actual, expected = tensors(run / "last.ckpt"), tensors(whole / "last.ckpt")
    assert set(actual) == set(expected)
    differing = [name for name in expected if actual[name].tobytes() != expected[name].tobytes()]
    assert not differing
    ends = [checkpoint.load(path / "last.ckpt").run for path in (run, whole)]
    for key in ("epoch", "step", "best"):
        assert getattr(ends[0], key) == getattr(ends[1], key)


def interrupted_after(whole, run, steps: int) -> None:
    """The folder of the same run as a kill after some steps would have left it."""
    shutil.copytree(whole, run)
    for path in run.glob("*.ckpt"):
        if path.name in ("last.ckpt", "best.ckpt") or int(path.stem.split("_")[-1]) > steps:
            path.unlink()


def test_a_resumed_run_ends_as_the_uninterrupted_one(trained, whole, tmp_path, command):
    run = tmp_path / "run"
    interrupted_after(whole, run, 4)  # the end of the first epoch
    code, out, err = command(train.main, *arguments(trained["data"], run, resume="auto"))
    assert code == 0, err
    assert "after step 4 of 12" in out
    assert_same_end(run, whole)
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    (position,) = [place for place, event in enumerate(events) if event["event"] == "resume"]
    resumed = [event["step"] for event in events[position:] if event["event"] == "train"]
    assert resumed == list(range(5, 13))
    assert {event["loss_scale"] for event in events if event["event"] == "train"} > {1024.0, 2048.0}


@pytest.mark.slow
@pytest.mark.skipif("avx512_bf16" not in libraries._cpu_flags(), reason="this CPU has no avx512_bf16")
def test_a_resumed_run_in_bfloat16_ends_as_the_uninterrupted_one(trained, tmp_path):
    """In processes of their own, since bfloat16 needs what the tests' own process has hidden."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "DEFAULT"}
    values = {"max_epoch": 2, "amp_dtype": "bfloat16", "cpu_kernels": "blocked", "is_dynamic_loss_scale": 0}

    def train_in(folder, **more) -> str:
        command = [sys.executable, "train.py", *arguments(trained["data"], folder, **values, **more)]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    train_in(whole)
    interrupted_after(whole, run, 3)
    assert "after step 3 of 8" in train_in(run, resume="auto")
    assert_same_end(run, whole)


@pytest.mark.slow
def test_a_damaged_newest_checkpoint_is_passed_over_and_the_one_before_resumes_within_an_epoch(
    trained, whole, tmp_path, command
):
    run = tmp_path / "run"
    interrupted_after(whole, run, 8)
    newest = run / "resnext11_8x16d-2_8.ckpt"
    newest.chmod(0o600)
    newest.write_bytes(newest.read_bytes()[:-1000])
    code, out, err = command(train.main, *arguments(trained["data"], run, resume="auto"))
    assert code == 0 and "passed over" in err and "2_8.ckpt" in err and "after step 7 of 12" in out
    assert_same_end(run, whole)


def test_a_finished_run_has_nothing_left_to_do(trained, whole, tmp_path, command):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    code, out, _ = command(train.main, *arguments(trained["data"], run, resume="auto"))
    assert code == 0 and "resnext11_8x16d-3_12.ckpt is the end of its run: nothing is left to do" in out
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_auto_starts_where_there_is_nothing_and_the_time_limit_ends_the_run_with_code_124(trained, tmp_path, command):
    code, out, err = command(
        train.main, *arguments(trained["data"], tmp_path / "run", resume="auto", time_limit=1e-6, **PLAIN)
    )
    assert "no checkpoints in" in out and "starts from the beginning" in out
    assert code == 124 and "stopped by time_limit" in err and "after step 1," in err
    assert checkpoint.load(tmp_path / "run/last.ckpt").run.step == 1


@pytest.mark.slow
def test_a_longer_run_goes_on_when_allowed(trained, whole, tmp_path, command, refused):
    path = whole / "last.ckpt"
    longer = {"resume": path, "max_epoch": 4}
    line = refused(train.main, *arguments(trained["data"], tmp_path / "run", **longer))
    assert "max_epoch (3 then, 4 now)" in line and "--resume_allow max_epoch" in line
    longer["resume_allow"] = "max_epoch,T_max"
    code, out, err = command(train.main, *arguments(trained["data"], tmp_path / "run", **longer))
    assert code == 0, err
    assert "max_epoch changes, as allowed" in err and checkpoint.load(tmp_path / "run/last.ckpt").run.step == 16


def other_data(data):
    write_image(data / "train" / CLASSES[0] / "new.jpg", 2, seed=0)
    return {}


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (other_data, ["data (the training images are not those of then)", "--resume_allow data"]),
        (lambda data: {"backbone": "resnet20"}, ["backbone ('resnext11_8x16d' then, 'resnet20' now)"]),
        (lambda data: {"lr": 0.03, "weight_decay": 0.5}, ["lr (0.02 then, 0.03 now)", "--resume_allow lr,weight_decay"]),
        pytest.param(
            lambda data: {"num_parallel_workers": 1},
            ["data workers then, 1 now", "--resume_allow workers"],
            marks=pytest.mark.skipif(available_cores() == 1, reason="one core has one worker in any case"),
        ),
        (lambda data: {"ema_decay": 0, "resume_allow": "ema_decay"}, ["another kind of run", "ema"]),
        (lambda data: {"resume": "nowhere.ckpt"}, ["nowhere.ckpt: no such checkpoint"]),
    ],
)
def test_a_resume_that_would_be_another_run_is_refused(trained, whole, tmp_path, refused, spoil, parts):
    data = tmp_path / "data"
    shutil.copytree(trained["data"], data)
    values = {"resume": whole / "resnext11_8x16d-1_4.ckpt", **spoil(data)}
    line = refused(train.main, *arguments(data, tmp_path / "run", **values))
    assert all(part in line for part in parts), line


def test_a_file_without_training_state_is_refused(trained, whole, tmp_path, refused):
    line = refused(train.main, *arguments(trained["data"], tmp_path / "run", resume=whole / "best.ckpt"))
    assert "holds weights only" in line and "--pretrained" in line


@pytest.mark.slow
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(trained, whole, tmp_path, command):
    run = tmp_path / "run"
    fault = {"PYTHONPATH": f"{ROOT}:{ROOT}/benchmarks/fault_hook", "RESNET_ZOO_FAULT": f"SIGTERM::9:{tmp_path}/fault"}
    result = subprocess.run(
        [sys.executable, "train.py", *arguments(trained["data"], run)],
        cwd=ROOT, env={**os.environ, **fault}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 143, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("stopped by")]
    assert "SIGTERM" in line and "--resume auto" in line and "Traceback" not in result.stderr
    assert "after step 5," in line and checkpoint.load(run / "last.ckpt").run.step == 5
    assert command(train.main, *arguments(trained["data"], run, resume="auto"))[0] == 0
    assert_same_end(run, whole)


@pytest.mark.slow
def test_a_run_without_progress_stops_early(trained, tmp_path, command):
    run = tmp_path / "run"
    code, out, _ = command(
        train.main,
        *arguments(trained["data"], run, **PLAIN, lr=1e-9, early_stop=2, max_epoch=50, ckpt_interval=0, tensorboard=0),
    )
    assert code == 0
    saved = checkpoint.load(run / "last.ckpt").run
    assert saved.epoch == saved.best.epoch + 2 < 50


def test_averaged_weights_are_evaluated_saved_and_can_be_asked_for(trained, whole, tmp_path, command, refused):
    import eval as evaluation

    events = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "eval"][-1]
    options = ["--data_dir", trained["data"], "--platform", "CPU", "--result_json", tmp_path / "r.json"]
    for use, key in ((0, "top1_correct"), (1, "ema_top1_correct")):
        assert command(evaluation.main, *options, "--pretrained", whole / "last.ckpt", "--use_ema", use)[0] == 0
        assert json.loads((tmp_path / "r.json").read_text())["top1_correct"] == last[key]
    saved = checkpoint.load(whole / "last.ckpt")
    assert any((saved.weights[name].asnumpy() != value.asnumpy()).any() for name, value in saved.averaged().weights.items())
    line = refused(evaluation.main, *options, "--pretrained", trained["ckpt"], "--use_ema", 1)
    assert "use_ema" in line and "no averaged weights" in line


def test_tensorboard_reads_what_metrics_jsonl_says(whole):
    from tensorboardX.proto.event_pb2 import Event

    (file,) = (whole / "tensorboard").iterdir()
    content, place, scalars = file.read_bytes(), 0, {}
    while place < len(content):  # TFRecord: length (8 bytes), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(content[place : place + 8], "little")
        event = Event.FromString(content[place + 12 : place + 12 + length])
        place += 16 + length
        for value in event.summary.value:
            scalars[value.tag, event.step] = value.simple_value
    events = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    for event in events:
        if event["event"] == "train":
            for key in ("loss", "lr", "img_per_s", "loss_scale"):
                assert scalars[f"train/{key}", event["step"]] == pytest.approx(event[key], rel=1e-6)
    assert ("eval/ema_top1", 12) in scalars


def test_a_key_that_the_checkpoint_does_not_know_yet_counts_as_its_default():
    config = build_config({"resume": "auto"})
    then = {key: value for key, value in config.resolved().items() if key != "loss"}
    images = checkpoint.TrainingImages(kind="folder", fingerprint="f")
    state = checkpoint.RunState(epoch=1, step=1, evaluation=None, best=Best(), config=then, dataset=images, data_workers=1)
    saved = checkpoint.Checkpoint(Path("a.ckpt"), {}, ModelInfo(), state)
    resume.check_same_run(saved, config, "f", 1)
    other = build_config({"resume": "auto", "loss": "binary_cross_entropy"})
    with pytest.raises(UserError, match="loss .'cross_entropy' then, 'binary_cross_entropy' now"):
        resume.check_same_run(saved, other, "f", 1)


def test_a_checkpoint_that_still_holds_the_key_momentum_is_taken_and_nothing_else_is(trained):
    import mindspore as ms
    import numpy as np

    from src.training.build import create_network, create_step

    config = build_config({"backbone": "resnext11_8x16d", "num_classes": 3})
    network = create_network(config)
    step = create_step(network, np.zeros(32, np.float32), config, "CPU")
    saved = checkpoint.load(trained["ckpt"])
    for name in ("momentum", "other"):
        saved.resumable.tensors[name] = ms.Parameter(ms.Tensor(0.9, ms.float32), name=name)
        if name == "momentum":
            resume.restore(network, step, saved)
            assert (network.fc.weight.asnumpy() == saved.weights["fc.weight"].asnumpy()).all()
        else:
            with pytest.raises(UserError, match="another kind of run .other"):
                resume.restore(network, step, saved)
