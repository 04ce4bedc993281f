"""ModelArts: what its environment says, and copying through a stand-in for moxing."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jobs import wait_until

from conftest import ROOT, TINY
from src.config import build_config
from src.errors import UserError
from src.launch import modelarts

MOXING = '''
"""A stand-in for ModelArts' moxing: obs://x is the folder OBS/x; every call is written down."""
import os, shutil, time
def local(url):
    return os.path.join(os.environ["OBS"], url[6:]) if url.startswith("obs://") else url
class file:
    @staticmethod
    def is_directory(url):
        return os.path.isdir(local(url))
    @staticmethod
    def copy_parallel(source, target):
        note("copy_parallel", source, target)
        time.sleep(float(os.environ.get("SLOW", "0")))
        shutil.copytree(local(source), local(target), dirs_exist_ok=True)
    @staticmethod
    def copy(source, target):
        note("copy", source, target)
        os.makedirs(os.path.dirname(local(target)), exist_ok=True)
        shutil.copy(local(source), local(target))
def note(*call):
    with open(os.path.join(os.environ["OBS"], "calls"), "a") as calls:
        calls.write(" ".join(call) + "\\n")
'''
RANK = """
import json, os, signal, sys, time
from src.config import build_config
from src.launch import modelarts
from src.errors import run_command
def main(arguments):
    with modelarts.copied(build_config(json.loads(arguments[0]))) as config:
        print(open(config.data_dir + "/x").read(), config.data_dir)
    return 0
time.sleep(float(os.environ.get("LATE", "0")))
if "DIE" in os.environ:
    import moxing
    def die(*a):
        open(os.environ["OBS"] + "/dying", "w").close()
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    moxing.file.copy_parallel = die
sys.exit(run_command(main, sys.argv[1:]))
"""


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """The stand-in installed, with a data set and a checkpoint in the storage; returns the storage's folder."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "moxing.py").write_text(MOXING)
    obs = tmp_path / "obs"
    (obs / "bucket" / "data").mkdir(parents=True)
    (obs / "bucket" / "data" / "x").write_text("pixels")
    (obs / "bucket" / "start.ckpt").write_text("weights")
    monkeypatch.setenv("OBS", str(obs))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'packages'}:{ROOT}")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.delitem(sys.modules, "moxing", raising=False)
    for name in ("RANK_ID", "RANK_SIZE", "MA_NUM_HOSTS", "RESNET_ZOO_LOCAL_RANK", "RESNET_ZOO_LOCAL_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return obs


def keys(tmp_path, **changes):
    folders = {key: str(tmp_path / "cache" / key) for key in ("data_path", "output_path", "load_path")}
    return {"enable_modelarts": 1, "data_url": "obs://bucket/data", **folders, **changes}


def test_data_and_checkpoint_come_and_the_run_goes_back(storage, tmp_path):
    config = build_config(
        keys(tmp_path, checkpoint_url="obs://bucket/start.ckpt", train_url="obs://bucket/out", ckpt_path="run", data_dir="")
    )
    with modelarts.copied(config) as local:
        assert Path(local.data_dir, "x").read_text() == "pixels"
        assert Path(local.pretrained).read_text() == "weights"
        assert local.ckpt_path == str(tmp_path / "cache" / "output_path" / "run")
        assert local.given == config.given
        Path(local.ckpt_path).mkdir(parents=True)
        Path(local.ckpt_path, "last.ckpt").write_text("trained")
    assert (storage / "bucket" / "out" / "last.ckpt").read_text() == "trained"


def test_a_run_that_failed_is_brought_back_too(storage, tmp_path):
    config = build_config(keys(tmp_path, train_url="obs://bucket/out"))
    with pytest.raises(KeyError), modelarts.copied(config) as local:
        Path(local.ckpt_path).mkdir(parents=True)
        Path(local.ckpt_path, "train_0.log").write_text("epoch 1")
        raise KeyError
    assert (storage / "bucket" / "out" / "train_0.log").exists()


def test_paths_are_inside_the_copied_folders_unless_absolute(storage, tmp_path):
    inside = build_config(keys(tmp_path, data_dir="train", pretrained="best.ckpt", checkpoint_url="obs://bucket/data"))
    with modelarts.copied(inside, results=False) as local:
        assert local.data_dir == str(tmp_path / "cache" / "data_path" / "train")
        assert local.pretrained == str(tmp_path / "cache" / "load_path" / "best.ckpt")
        assert local.ckpt_path == str(tmp_path / "cache" / "output_path")
    with modelarts.copied(build_config(keys(tmp_path, data_dir="/elsewhere", ckpt_path="/out"))) as local:
        assert (local.data_dir, local.ckpt_path) == ("/elsewhere", "/out")


def test_without_modelarts_nothing_changes(storage, tmp_path):
    config = build_config(keys(tmp_path, enable_modelarts=0))
    with modelarts.copied(config) as local:
        assert local is config
    assert not (storage / "calls").exists()


def test_only_rank_0_brings_results_back(storage, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK_ID", "8")
    with modelarts.copied(build_config(keys(tmp_path, data_url="", train_url="obs://bucket/out"))):
        pass
    assert not (storage / "calls").exists()


def test_failures_are_one_line(storage, tmp_path, monkeypatch):
    with (
        pytest.raises(UserError, match="data_url: copying 'obs://bucket/no' to .* failed"),
        modelarts.copied(build_config(keys(tmp_path, data_url="obs://bucket/no"))),
    ):
        pass
    with (
        pytest.raises(UserError, match="train_url: copying"),
        modelarts.copied(build_config(keys(tmp_path, train_url="obs://bucket/out"))),
    ):
        pass  # the run's folder was never made
    monkeypatch.setitem(sys.modules, "moxing", None)
    with pytest.raises(UserError, match="the package moxing is missing"), modelarts.copied(build_config(keys(tmp_path))):
        pass
    monkeypatch.setenv("RANK_ID", "first")
    with pytest.raises(UserError, match="RANK_ID: 'first'"), modelarts.copied(build_config(keys(tmp_path))):
        pass


def test_copying_shows_signs_of_life(storage, tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_ZOO_HEARTBEAT", str(tmp_path / "heartbeat"))
    monkeypatch.setenv("SLOW", "0.3")
    monkeypatch.setattr(modelarts, "BEAT_SECONDS", 0.05)
    with modelarts.copied(build_config(keys(tmp_path))):
        assert int((tmp_path / "heartbeat").read_text()) >= 2


def start_rank(tmp_path, rank, size=3, data_url="obs://bucket/data", **environment):
    variables = {"RANK_ID": str(rank), "RANK_SIZE": str(size), "MA_NUM_HOSTS": "1", "RESNET_ZOO_JOB": str(tmp_path)}
    variables["TMPDIR"] = str(tmp_path)  # what ranks share lies there
    return subprocess.Popen(
        [sys.executable, "-c", RANK, json.dumps(keys(tmp_path, data_url=data_url))],
        env={**os.environ, **variables, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def results(ranks):
    return [(rank.wait(timeout=30), *rank.communicate()) for rank in ranks]


def test_one_process_of_a_server_copies_and_the_others_wait(storage, tmp_path):
    ranks = [start_rank(tmp_path, 1), start_rank(tmp_path, 0, SLOW="0.5"), start_rank(tmp_path, 2, LATE="1.5")]
    for code, out, err in results(ranks):
        assert code == 0 and out.startswith("pixels"), err
    assert len((storage / "calls").read_text().splitlines()) == 1
    shutil.rmtree(tmp_path / "cache")
    assert [code for code, _, _ in results([start_rank(tmp_path, r) for r in (0, 1, 2)])] == [0, 0, 0]  # nothing stale
    assert len((storage / "calls").read_text().splitlines()) == 2


def test_the_others_see_the_failure(storage, tmp_path):
    ranks = [start_rank(tmp_path, rank, data_url="obs://bucket/no", LATE=str(rank / 4)) for rank in (0, 1, 2)]
    ends = results(ranks)
    assert all(code == 2 and err.startswith("error: data_url: copying 'obs://bucket/no'") for code, _, err in ends)
    copied = [err for _, _, err in ends if not err.endswith("(in the process that copies for this server)\n")]
    assert len(copied) == 1, ends  # the first that came


def test_the_others_see_that_the_copying_process_was_killed(storage, tmp_path):
    started = time.monotonic()
    ranks = [start_rank(tmp_path, 0, size=2, DIE="1")]
    wait_until((storage / "dying").exists)
    ranks.append(start_rank(tmp_path, 1, size=2))
    (code0, _, _), (code1, _, err1) = results(ranks)
    assert code0 == -9 and code1 == 2 and "ended before it had finished" in err1
    assert time.monotonic() - started < 15


def test_nothing_stays_of_a_start_whose_processes_were_killed(storage, tmp_path):
    ((code, _, _),) = results([start_rank(tmp_path, 0, size=2, DIE="1", RESNET_ZOO_JOB="1")])
    assert code == -9
    again = [start_rank(tmp_path, rank, size=2, RESNET_ZOO_JOB="2") for rank in (0, 1)]  # the launcher numbers its starts
    assert [code for code, _, _ in results(again)] == [0, 0]


def test_the_folder_of_the_lock_belongs_to_this_user_alone(storage, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK_SIZE", "2")
    monkeypatch.setattr(modelarts.tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"resnet-zoo-{os.getuid()}"
    config = build_config(keys(tmp_path))
    with modelarts.copied(config):
        assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(UserError, match="is not a folder of this user alone"), modelarts.copied(config):
        pass
    shutil.rmtree(folder)
    folder.symlink_to(storage)
    with pytest.raises(UserError, match="is not a folder of this user alone"), modelarts.copied(config):
        pass


def test_train_py_uses_it(storage, tmp_path, command, data_set):
    import train

    shutil.copytree(data_set, storage / "bucket" / "photos")
    arguments = [f"--{key}={value}" for key, value in keys(tmp_path, data_url="obs://bucket/photos").items()]
    code, _, err = command(
        train.main, *arguments, "--train_url", "obs://bucket/run", *TINY, "--per_batch_size", 6, "--max_epoch", 1,
        "--cache_dir", tmp_path / "scan",
    )  # fmt: skip
    assert code == 0, err
    assert (storage / "bucket" / "run" / "last.ckpt").exists()


def test_what_the_environment_says_of_the_servers(tmp_path):
    environment = {"MA_NUM_HOSTS": "2", "VC_TASK_INDEX": "1", "MA_NUM_GPUS": "8", "VC_WORKER_HOSTS": "w-0.job,w-1.job"}
    assert modelarts.cluster_defaults(environment) == {
        "nnodes": 2, "node_rank": 1, "device_num": 8, "master_addr": "w-0.job",
    }  # fmt: skip
    assert modelarts.cluster_defaults({"RANK_TABLE_FILE": "/user/config/jobstart_hccl.json"}) == {
        "rank_table": Path("/user/config/jobstart_hccl.json")
    }
    found = modelarts.cluster_defaults({"RANK_TABLE_FILE": str(tmp_path)})  # older images name the folder
    assert found == {"rank_table": tmp_path / "jobstart_hccl.json"}
    assert modelarts.cluster_defaults({}) == {}
    assert modelarts.cluster_defaults({"MA_NUM_HOSTS": "1", "VC_WORKER_HOSTS": "w-0.job"}) == {"nnodes": 1}  # loopback
    for wrong in ("two", "\u00b2", "9" * 5000):
        with pytest.raises(UserError, match=f"MA_NUM_HOSTS: '{wrong}'"):
            modelarts.cluster_defaults({"MA_NUM_HOSTS": wrong})
