"""The scripts for several devices: what they pass on, and how a failing rank ends them."""

import json
import shutil
import subprocess

import pytest

from conftest import ROOT

PRINT_ARGUMENTS = '#!/bin/sh\nfor argument in "$@"; do echo "$argument"; done\n'


@pytest.fixture
def passed_on(tmp_path):
    """Runs a script of a copied repository whose Python prints its arguments; returns them."""
    repository = tmp_path / "repository with blanks"
    shutil.copytree(ROOT / "scripts", repository / "scripts")
    python = repository / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PRINT_ARGUMENTS)
    python.chmod(0o755)

    def run(script, *arguments):
        command = ["bash", str(repository / "scripts" / script), *map(str, arguments)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.stdout.splitlines() if done.returncode == 0 else done.stderr

    return run


def test_distribute_train_passes_table_or_number_data_and_recipe(passed_on, tmp_path):
    launch = ["-m", "src.launch", "train.py"]
    assert passed_on("run_distribute_train.sh", "my table.json", "my data", "r.yaml", "--lr", "0.1") == [
        *launch, "--rank_table", f"{tmp_path}/my table.json", "--data_dir", f"{tmp_path}/my data",
        "--config_path", f"{tmp_path}/r.yaml", "--lr", "0.1",
    ]  # fmt: skip
    assert passed_on("run_distribute_train.sh", 8, "/data", "--platform", "CPU") == [
        *launch, "--device_num", "8", "--data_dir", "/data", "--platform", "CPU",
    ]  # fmt: skip


def test_the_gpu_scripts_differ_by_the_platform_only(passed_on, tmp_path):
    assert passed_on("run_distribute_train_gpu.sh", 8, "/data", "/r.yaml", "--platform", "CPU") == [
        "-m", "src.launch", "train.py", "--device_num", "8", "--data_dir", "/data", "--platform", "GPU",
        "--config_path", "/r.yaml", "--platform", "CPU",
    ]  # fmt: skip
    assert passed_on("run_standalone_train_gpu.sh", 1, "/data", "--lr=1") == [
        "train.py", "--device_id", "1", "--data_dir", "/data", "--platform", "GPU", "--lr=1",
    ]  # fmt: skip
    assert passed_on("run_eval_gpu.sh", 1, "/data", "m.ckpt") == [
        "eval.py", "--device_id", "1", "--data_dir", "/data", "--pretrained", f"{tmp_path}/m.ckpt", "--platform", "GPU",
    ]  # fmt: skip


def test_multinode_train_takes_the_known_options(passed_on, tmp_path):
    given = [
        "--nnodes=2", "--node_rank=1", "--master_addr=10.0.0.1", "--local_addr=10.0.0.2", "--device-list=0,1",
        "--batch_size=512",
    ]  # fmt: skip
    paths = ("--rank_table", "t.json", "--secret_file=s")
    arguments = passed_on("run_multinode_train.sh", "--data_path=my data", *given, *paths)
    assert arguments == [
        "-m", "src.launch", "train.py", "--data_dir", f"{tmp_path}/my data", *given,
        "--rank_table", f"{tmp_path}/t.json", "--secret_file", f"{tmp_path}/s",
    ]  # fmt: skip
    assert "--data_path: got no value; usage: bash scripts/run_multinode_train.sh" in passed_on(
        "run_multinode_train.sh", *given
    )
    assert "--rank_table: got no value" in passed_on("run_multinode_train.sh", "--data_path=x", "--rank_table")


@pytest.mark.parametrize(
    "script", ["run_distribute_train.sh", "run_distribute_train_gpu.sh", "run_standalone_train_gpu.sh", "run_eval_gpu.sh"]
)
def test_wrong_arguments_show_the_usage(passed_on, script):
    for arguments in ([], ["one"], ["--lr", "1", "2"]):
        error = passed_on(script, *arguments)
        assert f"usage: bash scripts/{script}" in error and len(error.splitlines()) == 1


def run(folder, script, *arguments):
    command = ["bash", str(ROOT / "scripts" / script), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_a_broken_table_stops_before_anything_starts(tmp_path):
    (tmp_path / "table.json").write_text(json.dumps({"status": "initializing", "version": "1.0", "server_list": []}))
    result = run(tmp_path, "run_distribute_train.sh", "table.json", "data", "--platform", "CPU", "--timeout", 1)
    assert result.returncode == 2 and len(result.stderr.splitlines()) == 1
    assert "status: is 'initializing'" in result.stderr


@pytest.mark.slow
def test_a_mistake_that_the_ranks_find_is_the_last_line(tmp_path):
    result = run(
        tmp_path, "run_distribute_train.sh", 2, "nowhere", "--platform", "CPU", "--log_dir", tmp_path / "logs",
        "--ckpt_path", tmp_path / "run", "--master_port", 23118,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: rank ") and "exit code 2: " in last
    assert f"; log: {tmp_path}/logs/rank_" in last and "Traceback" not in result.stderr
