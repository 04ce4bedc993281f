"""What the steps of a run ask of the host: nothing but what is logged; and that they go on from a kept graph."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import train
from conftest import ROOT, TINY, run_arguments
from src import checkpoint
from src.errors import UserError

HERE = Path(__file__).parent
ALL_WARNINGS = {"GLOG_v": "2", "PYTHONWARNINGS": "default"}


def announced(output: str) -> list:
    """What MindSpore says will go, in what a command printed with all warnings on."""
    lines = re.findall(r".*(?:deprecat|will be removed|removed in|sunset).*", output, re.IGNORECASE)
    return [line for line in lines if "getName() is deprecated" not in line]  # MindSpore's own use of Python's threads


def test_the_search_for_deprecations_finds_those_of_mindspore():
    code = "import mindspore as ms; ms.set_context(enable_compile_cache=False)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **ALL_WARNINGS})
    assert any("enable_compile_cache" in line for line in announced(result.stdout + result.stderr))


@pytest.mark.slow
def test_evaluation_and_export_use_nothing_that_is_announced_to_go(trained, tmp_path):
    tiny, data = [*TINY], ["--data_dir", str(trained["data"]), "--pretrained", str(trained["ckpt"])]
    exports = [["--ckpt_file", str(trained["ckpt"]), "--file_format", kind, "--file_name", str(tmp_path / kind), *tiny]
               for kind in ("MINDIR", "ONNX")]  # fmt: skip
    code = f"from src import commands as c; c.evaluate({[*tiny, *data]}); [c.export(a) for a in {exports}]"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **ALL_WARNINGS}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert not announced(result.stdout + result.stderr)


@pytest.mark.slow
def test_a_hundred_steps_of_two_ranks_fetch_twice_and_add_no_collective(tmp_path):
    values = {
        "dataset": "synthetic", "synthetic_images": 400, "per_batch_size": 2, "max_epoch": 1, "log_interval": 50,
        "eval_interval": 0, "ckpt_interval": 0, "lr": 0.001, "cache_dir": tmp_path / "cache", "is_distributed": 1,
    }  # fmt: skip
    options = [*TINY, *[text for key, value in values.items() for text in (f"--{key}", str(value))]]
    job = {
        "program": [str(HERE / "counted.py"), str(tmp_path / "RANK"), *options], "ranks": [0, 1], "group_size": 2,
        "log_dir": str(tmp_path / "logs"), "port": 9180 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]),
    }  # fmt: skip
    command = [sys.executable, ROOT / "tests/unit/launch/launcher.py", json.dumps(job)]
    environment = {**os.environ, **ALL_WARNINGS}
    result = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    for rank in (0, 1):
        assert not announced((tmp_path / f"logs/rank_{rank}.log").read_text())
        for counted, steps in zip(json.loads((tmp_path / str(rank)).read_text()), (100, 50)):
            assert counted["steps"] == steps and len(counted["fetches"]) == steps // 50, counted
            assert not counted["collectives"]


@pytest.mark.slow
def test_what_is_read_seldom_is_what_is_read_after_every_step(data_set, tmp_path, command):
    values = {"amp_level": "O2", "is_dynamic_loss_scale": 1, "loss_scale": 2**22, "accumulate_steps": 2, "per_batch_size": 2}
    found = []
    for interval in (1, 7):
        run = tmp_path / str(interval)
        code, out, err = command(
            train.main, *run_arguments(data_set, tmp_path, ckpt_path=run, log_interval=interval, max_epoch=3, **values)
        )
        assert code == 0, err
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        overflows = [(event["step"], event["loss_scale"]) for event in events if event["event"] == "overflow"]
        losses = {event["step"]: event["loss"] for event in events if event["event"] == "train"}
        found.append((overflows, re.findall("step .*overflow.*", out), losses, checkpoint.load(run / "last.ckpt").weights))
    every, seldom = found
    assert every[:2] == seldom[:2] and every[0]
    assert all(every[3][name].asnumpy().tobytes() == seldom[3][name].asnumpy().tobytes() for name in every[3])
    good = [loss for step, loss in every[2].items() if step <= 7 and loss is not None]
    assert seldom[2][7] == pytest.approx(np.mean(good), rel=1e-12) and len(good) < 7


def test_a_loss_that_is_not_finite_is_named_by_its_own_step_though_later_ones_were_done(data_set, tmp_path, refused):
    values = {"lr": 1e30, "warmup_epochs": 0, "log_interval": 10, "eval_interval": 0, "per_batch_size": 2}  # 9 steps
    line = refused(train.main, *run_arguments(data_set, tmp_path, ckpt_interval=0, **values))
    assert re.search(r"the loss became (nan|inf) at step [23] \(epoch 1\)", line)
    assert not list((tmp_path / "run").glob("*.ckpt"))


@pytest.mark.slow
def test_a_second_run_takes_the_compiled_step_and_computes_the_same(data_set, tmp_path):
    outcomes = []
    for name in ("first", "second"):
        arguments = run_arguments(data_set, tmp_path, ckpt_path=tmp_path / name, is_dynamic_loss_scale=1)
        command = [sys.executable, ROOT / "train.py", *arguments]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        saved = checkpoint.load(tmp_path / name / "last.ckpt").weights
        weights = {key: value.asnumpy().tobytes() for key, value in saved.items()}
        outcomes.append((re.search("graph was (taken from|kept as)", result.stdout)[1], weights))
    assert [kind for kind, _ in outcomes] == ["kept as", "taken from"]
    assert outcomes[0][1] == outcomes[1][1]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"sink_size": 3}, ["sink_size: 3", "100 batches of log_interval"]),
        ({"sink_size": 2, "log_interval": 2, "ckpt_interval": 3}, ["sink_size: 2", "3 batches of ckpt_interval"]),
        ({"sink_size": 4, "log_interval": 4, "ckpt_interval": 0, "per_batch_size": 2}, ["9 batches of an epoch", "3 does"]),
    ],
)  # fmt: skip
def test_a_sink_size_that_does_not_divide_is_one_line(data_set, tmp_path, refused, values, parts):
    line = refused(train.main, *run_arguments(data_set, tmp_path, **values))
    assert all(part in line for part in parts)


def test_the_cpu_says_that_it_has_no_sinking(data_set, tmp_path, command):
    values = {"sink_size": 2, "log_interval": 2, "ckpt_interval": 0, "per_batch_size": 9}
    code, _, err = command(train.main, *run_arguments(data_set, tmp_path, **values))
    assert code == 0 and "sink_size: has no effect on the CPU" in err


@pytest.mark.slow
def test_a_profile_is_a_trace_and_a_list_of_the_costliest_operators(data_set, tmp_path, command):
    values = {"profile": 2, "cpu_kernels": "stock", "per_batch_size": 2, "max_epoch": 5}
    code, out, err = command(train.main, *run_arguments(data_set, tmp_path, **values))
    assert code == 0, err
    (trace,) = (tmp_path / "run").rglob("trace_view.json")
    assert f"2 steps after 10, trace: {trace}" in out
    table = out[out.index("operator ") :].splitlines()[1:11]
    costs = [re.fullmatch(r"(\w+) +([\d.]+) +([\d.]+) +([\d.]+)%", line) for line in table]
    assert len(costs) == 10 and all(costs), table
    assert [float(cost[2]) for cost in costs] == sorted((float(cost[2]) for cost in costs), reverse=True)
    assert {"Conv2D", "Conv2DBackpropFilter"} & {cost[1] for cost in costs} and 0 < float(costs[0][4]) < 100
    assert not list((tmp_path / "run").glob("*.ckpt"))


def test_a_run_that_ends_before_its_first_step_leaves_no_setting_behind(data_set, tmp_path, command, monkeypatch):
    def broken(*_):
        raise UserError("broken")

    monkeypatch.setattr("src.training.loop.Loop.before_batch", broken)
    assert command(train.main, *run_arguments(data_set, tmp_path))[0] == 2
    assert not [name for name in os.environ if name.startswith("MS_COMPILER_CACHE")]
    assert not list((tmp_path / "cache").glob("graph-*"))
