"""Training and evaluation by several CPU processes, started as users start them: python -m src.launch."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import train
from conftest import CLASSES, ROOT, TINY, write_image
from src import checkpoint
from src.launch.rank_table import main as rank_table
from src.launch.table import make_content, write_content

# What has a state of its own is on. 36 images: 3 epochs of 2 steps of 2 batches of 4 images on each of 2 ranks.
EVERYTHING = {
    "per_batch_size": 4, "accumulate_steps": 2, "max_epoch": 3, "lr": 0.02, "ckpt_interval": 1, "ckpt_interval_epochs": 1,
    "keep_checkpoint_max": 100, "log_interval": 1, "eval_batch_size": 4, "is_dynamic_loss_scale": 1, "loss_scale": 1024,
    "loss_scale_window": 2, "ema_decay": 0.9, "drop_rate": 0.1, "mixup_alpha": 0.2, "bn_statistics": "mean",
    "is_save_on_master": 0, "sampling": "balanced", "class_weights": "1,2,0.5", "images_per_class": 11,
}  # fmt: skip
UNEVEN = {"sampling": "balanced", "class_weights": "1,2,0.5", "focal_gamma": 1}
EXACT = {  # nothing that differs between ranks: no augmentation, no batch statistics
    "per_batch_size": 2, "max_epoch": 2, "lr": 0.05, "freeze": "layer3", "crop_scale": "1.0,1.0", "crop_ratio": "1.0,1.0",
    "hflip_prob": 0, "color_jitter": 0, "eval_interval": 0, "ckpt_interval": 0, "is_save_on_master": 0,
}  # fmt: skip


def options(values: dict) -> list:
    return [text for key, value in values.items() for text in (f"--{key}", str(value))]


@pytest.fixture
def launch(tmp_path):
    """Starts train.py or eval.py on several ranks; a fault is told to benchmarks/fault_hook."""
    started = []

    def start(program, *arguments, fault="", **values) -> subprocess.Popen:
        number = len(started)
        port = 9120 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) + number
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks/fault_hook")}
        if fault:
            environment["RESNET_ZOO_FAULT"] = f"{fault}:{tmp_path}/fault{number}"
        command = [
            sys.executable, "-m", "src.launch", program, *map(str, arguments), "--log_dir",
            str(tmp_path / f"logs{number}"), "--master_port", str(port), *TINY,
            *options({"cache_dir": tmp_path / "cache", **values}),
        ]  # fmt: skip
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def ended(process) -> tuple:
    """Exit code, stdout, stderr."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def tensors(path) -> dict:
    saved = checkpoint.load(path)
    return {name: value.asnumpy() for name, value in {**saved.weights, **saved.run.tensors}.items()}


def differing(path, other) -> list:
    """Names of the weights, averages and other state that are not the same bits in two checkpoints."""
    first, second = tensors(path), tensors(other)
    assert set(first) == set(second)
    return [name for name in first if first[name].tobytes() != second[name].tobytes()]


@pytest.fixture(scope="module")
def two_ranks(trained, tmp_path_factory):
    """An undisturbed run of two ranks with everything on that has a state of its own; each rank saves its state."""
    folder = tmp_path_factory.mktemp("two_ranks")
    command = [
        sys.executable, "-m", "src.launch", "train.py", "--device_num", "2", "--master_port", "9119",
        "--log_dir", folder / "logs", *TINY,
        *options({"data_dir": trained["data"], "ckpt_path": folder / "run", "cache_dir": folder / "cache", **EVERYTHING}),
    ]  # fmt: skip
    result = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "run"


@pytest.mark.slow
def test_all_ranks_end_with_the_same_state_whatever_is_on(two_ranks):
    paths = sorted(two_ranks.glob("resnext11_8x16d-*.ckpt"))
    assert len(paths) == 6
    for path in paths:
        assert not differing(path, two_ranks / "rank_1" / path.name)
    events = [json.loads(line) for line in (two_ranks / "metrics.jsonl").read_text().splitlines()]
    assert {event["loss_scale"] for event in events if event["event"] == "train"} > {1024.0, 2048.0}
    assert [event["images"] for event in events if event["event"] == "eval"] == [33, 33, 33]
    assert (two_ranks / "split.csv").read_bytes() == (two_ranks / "rank_1/split.csv").read_bytes()
    first, last = tensors(paths[0]), tensors(two_ranks / "last.ckpt")
    for name in ("layer1.0.conv2.weight", "ema.layer1.0.conv2.weight", "layer1.0.bn1.running_mean"):
        assert (first[name] != last[name]).any()


@pytest.mark.slow
def test_a_killed_rank_is_restarted_and_nothing_is_lost(trained, two_ranks, launch, tmp_path):
    run = tmp_path / "run"
    code, out, err = ended(
        launch(
            "train.py", "--device_num", 2, "--max_restarts", 1, fault="SIGKILL:1:7", data_dir=trained["data"],
            ckpt_path=run, **EVERYTHING,
        )
    )  # fmt: skip
    assert code == 0, err
    # rank 1 was killed in step 4, while rank 0 may still have been writing the third checkpoint
    assert all(part in err for part in ("rank 1", "killed by SIGKILL", "restart 1 of 1"))
    assert re.search("after step [23] of 6", out)
    assert not differing(run / "last.ckpt", two_ranks / "last.ckpt")


@pytest.mark.slow
def test_a_signal_to_one_rank_or_to_the_launcher_stops_all_after_the_same_step(trained, two_ranks, launch, tmp_path):
    run, values = tmp_path / "run", {"data_dir": trained["data"], **EVERYTHING}
    first = ended(launch("train.py", "--device_num", 2, "--max_restarts", 1, fault="SIGTERM:1:5", ckpt_path=run, **values))
    assert first[0] == 143 and "restart" not in first[2], first[2]
    last_line = first[2].splitlines()[-1]
    assert "exit code 143: stopped by" in last_line and "after step 3" in last_line and "--resume auto" in last_line
    assert "stopped by SIGTERM after step 3" in (tmp_path / "logs0/rank_1.log").read_text()
    assert checkpoint.load(run / "last.ckpt").run.step == 3

    second = launch("train.py", "--device_num", 2, fault="launcher:1:3", ckpt_path=run, resume="auto", **values)
    code, out, err = ended(second)
    assert code == 143 and "the launcher was ended by SIGTERM" in err, err
    assert checkpoint.load(run / "last.ckpt").run.step == 5
    assert "stopped by SIGTERM after step 5," in out
    assert "stopped by SIGTERM after step 5," in (tmp_path / "logs1/rank_1.log").read_text()

    code, out, err = ended(launch("train.py", "--device_num", 2, ckpt_path=run, resume="auto", **values))
    assert code == 0 and "after step 5 of 6" in out, err
    assert not differing(run / "last.ckpt", two_ranks / "last.ckpt")


@pytest.mark.slow
def test_four_ranks_by_rank_table_compute_what_one_process_computes(launch, tmp_path, command):
    for color, name in zip((2, 1, 0), CLASSES):
        for i in range(10):  # of which 2 are held out
            write_image(tmp_path / "data" / name / f"{i}.png", color, seed=100 * color + i, size=(16, 16))
    table = tmp_path / "table.json"
    write_content(table, make_content("127.0.0.1", list(range(4)), [f"192.0.2.{i}" for i in range(4)]))
    assert command(rank_table, "check", table)[0] == 0
    values = {"data_dir": tmp_path / "data", "val_split": 0.2, **EXACT, **UNEVEN}
    process = launch("train.py", "--rank_table", table, ckpt_path=tmp_path / "four", **values)
    alone = {**values, "per_batch_size": 8, "ckpt_path": tmp_path / "one", "cache_dir": tmp_path / "cache1"}
    code, _, err = command(train.main, *TINY, *options(alone))
    assert code == 0, err
    code, out, err = ended(process)
    assert code == 0 and "2 epochs of 3 steps" in out and "4 processes" in out, err
    four, one = (tensors(tmp_path / run / "last.ckpt") for run in ("four", "one"))
    assert max(np.abs(four[name] - one[name]).max() for name in one) <= 1e-6
    for rank in (1, 2, 3):
        assert not differing(tmp_path / "four/last.ckpt", tmp_path / f"four/rank_{rank}/last.ckpt")
    folders = ["one", "four", *(f"four/rank_{rank}" for rank in (1, 2, 3))]
    splits = {(tmp_path / folder / "split.csv").read_bytes() for folder in folders}
    assert len(splits) == 1 and splits.pop().count(b'"val"') == 6


@pytest.mark.slow
@pytest.mark.parametrize("images", [31, 2])  # 2: one of the ranks has none
def test_every_image_counts_once_on_any_number_of_ranks(trained, launch, tmp_path, command, images):
    import eval as evaluation

    paths = sorted((trained["data"] / "val").glob("*/*"))[:images]
    lines = [f"{path.name} {CLASSES.index(path.parent.name)}" for path in paths]
    (tmp_path / "flat").mkdir()
    for path in paths:
        shutil.copy(path, tmp_path / "flat")
    (tmp_path / "labels.txt").write_text("\n".join(lines) + "\n")
    values = {
        "data_dir": tmp_path / "flat", "label_file": tmp_path / "labels.txt", "pretrained": trained["ckpt"],
        "eval_batch_size": 4,
    }  # fmt: skip
    process = launch("eval.py", "--device_num", 3, result_json=tmp_path / "three.json", **values)
    assert command(evaluation.main, *TINY, *options({**values, "result_json": tmp_path / "one.json"}))[0] == 0
    code, out, err = ended(process)
    assert code == 0, err
    one, three = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "three"))
    for key in ("images", "top1_correct", "top5_correct", "top1", "top5", "preprocessing", "model"):
        assert one[key] == three[key]
    assert f"after results=[[{one['top1_correct']}], [{one['top5_correct']}], [{images}]]" in out
    assert f"after allreduce eval: top1_correct={one['top1_correct']}, tot={images}, " in out
    own = [(tmp_path / f"logs0/rank_{rank}.log").read_text() for rank in range(3)]
    counts = [json.loads(text.split("before results=")[1].splitlines()[0]) for text in own]
    assert sum(count[2][0] for count in counts) == images and min(count[2][0] for count in counts) == images // 3


@pytest.mark.slow
def test_the_script_of_faults_shows_what_broken_rank_tables_lead_to():
    command = [sys.executable, ROOT / "benchmarks/faults.py", "--only", "rank_tables"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    rows = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| rank table: ")]
    assert len(rows) == 15 and all(row[2] == "2" and row[3].startswith("error: ") for row in rows)


def test_what_the_cpu_lacks_is_one_line(data_set, tmp_path, refused):
    line = refused(train.main, *TINY, "--data_dir", data_set, "--ckpt_path", tmp_path / "run", "--bn_statistics", "sync")
    assert "bn_statistics: sync needs Ascend, MindSpore's CPU has none; pass master or mean" in line
