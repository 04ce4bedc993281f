import subprocess

import pytest

from conftest import ROOT, TINY


def run(folder, script, *arguments):
    command = ["bash", str(ROOT / "scripts" / script), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_train_and_evaluate_from_another_folder_with_spaces_in_paths(data_set, tmp_path):
    spaced = tmp_path / "my data"
    (tmp_path / "data").rename(spaced)
    settings = [*TINY, "--cache_dir", tmp_path / "cache"]
    train = run(
        tmp_path, "run_standalone_train.sh", 0, "my data", *settings, "--per_batch_size", 4, "--max_epoch", 1,
        "--ckpt_path", tmp_path / "run",
    )  # fmt: skip
    assert train.returncode == 0, train.stderr
    evaluation = run(tmp_path, "run_eval.sh", 0, "my data/val", "run/last.ckpt", "CPU", "--cache_dir", tmp_path / "cache")
    assert evaluation.returncode == 0 and "tot=15" in evaluation.stdout, evaluation.stderr


def test_exit_codes_are_passed_on(tmp_path):
    result = run(tmp_path, "run_eval.sh", 0, "nowhere", "nothing.ckpt", "CPU")
    assert result.returncode == 2 and "no such folder" in result.stderr


@pytest.mark.parametrize("script", ["run_standalone_train.sh", "run_eval.sh"])
def test_wrong_arguments_show_the_usage(tmp_path, script):
    for arguments in ([], ["zero", "data", "model"]):
        result = run(tmp_path, script, *arguments)
        assert result.returncode == 2 and f"usage: bash scripts/{script}" in result.stderr
        assert len(result.stderr.splitlines()) == 1
