"""The page on own data, from a table of photos to a deployed model: every command run, on smaller photos."""

import csv
import json
import os
import re
import shlex
import subprocess

import numpy as np
import pytest
from pages import commands, read

import eval as eval_command
import export as export_command
import train as train_command
from conftest import ROOT, write_image
from src import checkpoint

PAGE = ROOT / "docs/own-data.md"
PROGRAMS = {"train.py": train_command, "eval.py": eval_command, "export.py": export_command}
# What comes last wins.
SMALL = {
    "train.py": ["--backbone", "resnext11_8x16d", "--image_size", "32,32", "--per_batch_size", "4", "--max_epoch", "2",
                 "--platform", "CPU", "--cache_dir", "cache", "--ckpt_interval", "1", "--keep_checkpoint_max", "99"],
    "eval.py": ["--platform", "CPU", "--cache_dir", "cache"],
    "export.py": ["--platform", "CPU"],
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos as the page describes them, three times as many cats as dogs, and new ones."""
    root = tmp_path_factory.mktemp("reader")
    rows = []
    for i in range(20):
        is_cat = i % 4 > 0
        name = f"{'garden/' if i % 3 == 0 else ''}{i:04d}.jpg"
        write_image(root / "photos" / name, 0 if is_cat else 1, seed=i, size=(40, 36))
        rows.append((name, "cat" if is_cat else "dog"))
    (root / "photos.csv").write_text("image,label\n" + "".join(f"{name},{label}\n" for name, label in rows))
    for i in range(2):
        write_image(root / "new_photos" / f"{i}.jpg", i, seed=100 + i, size=(40, 36))
    return root


def run(line: str, command) -> str:
    """Runs a command of the page, made smaller; returns what it prints."""
    program, *arguments = shlex.split(line)
    if program == "bash":
        environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
        script, *arguments = arguments
        words = ["bash", str(ROOT / script), *arguments]
        outcome = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout
    script, *arguments = arguments
    small = [] if "--config_path" in arguments else SMALL[script]
    code, out, err = command(PROGRAMS[script].main, *arguments, *small)
    assert code == 0, err
    return out


def state(path) -> dict:
    saved = checkpoint.load(path)
    return {name: value.asnumpy().tobytes() for name, value in {**saved.weights, **saved.run.tensors}.items()}


@pytest.mark.slow
def test_from_a_table_of_photos_to_a_deployed_model(photos, infer_programs, command, monkeypatch):
    monkeypatch.chdir(photos)
    section = read(PAGE).partition("## From a table of photos to a deployed model\n")[2].partition("\n## ")[0]
    section = section.replace(" \\\n    ", " ")
    train, resume, evaluate, export, check, predict, deploy = [line for _, line in commands(PAGE) if line in section]
    folder = photos / "outputs/table"

    run(train, command)
    with open(folder / "split.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    held_out = [row for row in rows if row["split"] == "val"]
    labels = [[row["label"] for row in part] for part in (rows, held_out)]
    assert [[part.count(name) for name in ("cat", "dog")] for part in labels] == [[15, 5], [3, 1]]
    assert len({row["image"] for row in rows}) == 20

    whole, split = state(folder / "last.ckpt"), (folder / "split.csv").read_bytes()
    for path in folder.glob("*.ckpt"):  # as a kill in the first epoch would have left it
        if path.name in ("last.ckpt", "best.ckpt") or int(path.stem.split("_")[-1]) > 2:
            path.unlink()
    assert "after step 2 of 8" in run(resume, command)
    assert state(folder / "last.ckpt") == whole and (folder / "split.csv").read_bytes() == split

    printed = run(evaluate, command)
    result = json.loads((folder / "result.json").read_text())
    assert {row["class"]: row["images"] for row in result["classes"]} == {"cat": 3, "dog": 1} and result["images"] == 4
    shares = [row["top1_correct"] / row["images"] for row in result["classes"]]
    assert result["macro_recall"] == pytest.approx(np.mean(shares)) and "mean over 2 classes: recall" in printed
    assert f"top1_correct={result['top1_correct']}, tot=4" in printed

    run(export, command)
    assert (folder / "photos.onnx.meta.json").is_file()
    assert f"top1_correct={result['top1_correct']}, tot=4" in run(check, command)
    predicted = run(predict, command)
    assert sorted(re.findall(r"%  (\w+)$", predicted, re.MULTILINE)) == ["cat", "cat", "dog", "dog"]
    run(deploy, command)
    for i in range(2):
        answer = json.loads((folder / f"answers/result_Files/{i}_0.json").read_text())
        best = answer["predictions"][0]["class"]
        after = predicted.partition(f"new_photos/{i}.jpg")[2].splitlines()[1]
        assert after.split()[-1] == best
