"""Folders whose names are no text, as an archive from elsewhere leaves them."""

import json
import os
import shutil

import eval as evaluation
import preprocess
import train
from conftest import TINY


def test_a_run_and_its_data_in_folders_whose_names_are_not_utf8(trained, tmp_path, command):
    data, run = tmp_path / os.fsdecode(b"d\xb9\xb7"), tmp_path / os.fsdecode(b"r\xb9\xb7")
    shutil.copytree(trained["data"], data)
    for part in ("train", "val"):
        (data / part / "red").rename(data / part / os.fsdecode(b"\xba\xec"))
    arguments = ["--data_dir", data, "--ckpt_path", run, "--cache_dir", tmp_path / "cache", *TINY, "--per_batch_size", 18]
    code, out, err = command(train.main, *arguments, "--max_epoch", 1)
    assert code == 0 and r"r\udcb9\udcb7/last.ckpt" not in err, err
    assert r"newest checkpoint: " in (run / "train_0.log").read_text()
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.suffix != ".log"}
    code, out, err = command(train.main, "--config_path", run / "config.yaml", "--resume", "auto")
    assert code == 0 and "nothing is left to do" in out, err
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.suffix != ".log"} == before
    model = ["--data_dir", data, "--pretrained", run / "last.ckpt", "--platform", "CPU", "--cache_dir", tmp_path / "cache"]
    code, _, err = command(evaluation.main, *model, "--result_json", run / "r.json")
    assert code == 0 and json.loads((run / "r.json").read_text())["images"] == 33, err
    code, _, err = command(preprocess.main, *model, "--bin_dir", run / "bins")
    assert code == 0 and len(list((run / "bins").iterdir())) == 33, err
