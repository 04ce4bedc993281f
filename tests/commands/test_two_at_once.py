"""Two commands that would write into one folder: the second is refused, and what only reads goes on."""

import fcntl
import json
import os
import shutil
import subprocess

import eval as evaluation
import train
from conftest import ROOT, TINY
from src.files import owning


def content(folder) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_training_run_in_one_folder_is_refused_and_evaluation_reads_meanwhile(trained, tmp_path, command, refused):
    before = content(trained["run"])
    with owning(trained["run"], "ckpt_path"):  # the first run's
        line = refused(train.main, *trained["arguments"])
        code, _, err = command(
            evaluation.main, "--data_dir", trained["data"], "--pretrained", trained["ckpt"], "--result_json",
            tmp_path / "r.json", "--platform", "CPU",
        )  # fmt: skip
    assert f"ckpt_path: '{trained['run']}' is in use by process {os.getpid()} on " in line
    assert code == 0 and json.loads((tmp_path / "r.json").read_text())["images"] == 33, err
    assert content(trained["run"]) == before


def test_a_run_leaves_its_folder_to_the_next_whether_it_ends_well_or_not(data_set, tmp_path, refused):
    wrong = ["--data_dir", data_set, "--ckpt_path", tmp_path / "run", "--cache_dir", tmp_path / "cache", *TINY]
    for _ in range(2):
        assert "num_classes" in refused(train.main, *wrong, "--num_classes", 4)


def test_a_second_quickstart_is_refused_before_it_changes_anything(tmp_path):
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/quickstart.sh", tmp_path / "scripts")
    (tmp_path / "scripts/setup_env.sh").write_text("echo set-up; exit 7\n")
    (tmp_path / "outputs/quickstart").mkdir(parents=True)
    (tmp_path / "outputs/quickstart/summary.json").write_text("the first's")
    script = ["bash", tmp_path / "scripts/quickstart.sh"]
    with open(tmp_path / "outputs/quickstart.lock", "w") as lock:
        lock.write("process 12 on here since then\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = subprocess.run(script, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr == (
        "error: outputs/quickstart is in use by process 12 on here since then; wait for the end of that quickstart\n"
    )
    result = subprocess.run(script, capture_output=True, text=True, check=False)
    assert result.returncode == 7 and "set-up" in result.stdout, result.stderr
    assert (tmp_path / "outputs/quickstart/summary.json").read_text() == "the first's"
