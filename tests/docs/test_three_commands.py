"""The README's three commands, run for real on a few small images; then what the pages say of their output and files."""

import re
import shlex

import pytest
from pages import commands, read

import eval as eval_command
import export as export_command
import train as train_command
from conftest import ROOT, write_image

PROGRAMS = {"train.py": train_command, "eval.py": eval_command, "export.py": export_command}
# Smaller than a reader's photos: what comes last wins.
SMALL = {
    "train.py": ["--backbone", "resnext11_8x16d", "--image_size", "32,32", "--per_batch_size", "4", "--max_epoch", "2",
                 "--platform", "CPU", "--cache_dir", "cache"],
    "eval.py": ["--platform", "CPU", "--cache_dir", "cache"],
    "export.py": ["--platform", "CPU"],
}  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder as the README describes it."""
    root = tmp_path_factory.mktemp("reader")
    for part, count in (("train", 6), ("val", 3)):
        for color, name in enumerate(("cat", "dog")):
            for i in range(count):
                write_image(
                    root / "photos" / part / name / f"{i}.jpg", color, seed=100 * color + 10 * count + i, size=(40, 36)
                )
    return root


@pytest.mark.slow
def test_own_photos_in_three_commands(photos, command, monkeypatch):
    monkeypatch.chdir(photos)
    section = read(ROOT / "README.md").partition("## Your own photos, in three commands")[2].partition("\n## ")[0]
    lines = [line for _, line in commands(ROOT / "README.md") if line in re.sub(r" *\\\n *", " ", section)]
    assert [line.split()[1] for line in lines] == ["train.py", "eval.py", "export.py"]
    outputs = [run(line, command) for line in lines]
    assert outputs[1].count("photos/val/cat/") == 3

    run_folder = photos / "outputs/photos"
    for name in (
        "config.yaml",
        "resolved.yaml",
        "metrics.jsonl",
        "last.ckpt",
        "best.ckpt",
        "best.onnx",
        "best.onnx.meta.json",
    ):
        assert (run_folder / name).is_file(), name

    page = read(ROOT / "docs/evaluation-and-export.md")
    line = next(
        line for line in ("python eval.py --data_dir photos/val --pretrained outputs/photos/best.onnx",) if line in page
    )
    shown = re.search(r"```\n(Inference Performance.*?)```", page, re.DOTALL)[1]
    assert shape(shown) in shape(run(line, command))


def run(line: str, command) -> str:
    """Runs a command of the pages, made smaller; returns what it prints."""
    _, program, *arguments = shlex.split(line)
    code, out, err = command(PROGRAMS[program].main, *arguments, *SMALL[program])
    assert code == 0, err
    return out


def shape(output: str) -> str:
    """Lines without their numbers and times."""
    return re.sub(r"^.*?INFO:? *|[\d.]+", lambda match: "" if "INFO" in match[0] else "#", output, flags=re.MULTILINE)
