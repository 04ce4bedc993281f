"""Result files of a runner -> accuracy: labels of every form, results with problems, refusals."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import create_imagenet2012_label as label_command
import postprocess as postprocess_command
from conftest import ROOT, write_image

CLASSES = tuple("abcdefghij")


@pytest.fixture
def results(tmp_path):
    """Six results of four classes, all right, with labels in every form."""
    folder = tmp_path / "results"
    folder.mkdir()
    labels = {f"i{number}.JPEG": number % 4 for number in range(6)}
    for name, label in labels.items():
        (np.arange(4, dtype=np.float32) == label).astype(np.float32).tofile(folder / f"{name[:2]}_0.bin")
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    (tmp_path / "labels.txt").write_text("".join(f"{name} {label}\n" for name, label in labels.items()))
    return folder


def arguments(tmp_path, labels: str = "labels.json") -> list:
    return ["--result_dir", tmp_path / "results", "--label_file", tmp_path / labels, "--result_json", tmp_path / "r.json"]


@pytest.mark.parametrize("labels", ["labels.json", "labels.txt"])
def test_labels_as_json_and_as_text(results, tmp_path, command, labels):
    code, out, _ = command(postprocess_command.main, *arguments(tmp_path, labels))
    assert code == 0 and "Total data: 6, top1 accuracy: 1.0, top5 accuracy: 1.0." in out.splitlines()


def test_every_problem_is_named_and_counts_as_wrong(results, tmp_path, command):
    (results / "i0_0.bin").unlink()
    (results / "i1_0.bin").write_bytes(b"123")
    np.array([0, np.nan, 0, 0], np.float32).tofile(results / "i2_0.bin")
    (results / "other_0.bin").write_bytes(bytes(16))
    (results / "i3_1.bin").write_bytes(bytes(16))
    code, out, err = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 3 and "Total data: 6, top1 accuracy: 0.5, top5 accuracy: 0.5." in out.splitlines()
    lines = err.splitlines()
    assert lines[:5] == [
        "result missing: i0.JPEG has no i0_0.bin or i0_0.txt",
        f"result unusable: {results}/i1_0.bin holds 3 bytes; expected 16, 4 float32 numbers",
        f"result unusable: {results}/i2_0.bin holds NaN or Inf",
        f"result extra: {results}/i3_1.bin belongs to no image",
        f"result extra: {results}/other_0.bin belongs to no image",
    ]
    assert json.loads((tmp_path / "r.json").read_text())["problems"] == lines[:5]


def test_text_results_with_problems(results, tmp_path, command):
    for number in range(6):
        (results / f"i{number}_0.bin").unlink()
        (results / f"i{number}_0.txt").write_text(" ".join(str(float(c == number % 4)) for c in range(4)) + " \n")
    (results / "i0_0.txt").write_text("0.1 0.2\n")
    (results / "i1_0.txt").write_text("0.1 0.2 x 0.3\n")
    (results / "i2_0.txt").write_text("0.1 0.2 inf 0.3\n")
    code, out, err = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 3 and "top1 accuracy: 0.5" in out
    assert "i0_0.txt holds 2 numbers; expected 4" in err and "i2_0.txt holds NaN or Inf" in err
    assert "i1_0.txt could not convert string to float: 'x'" in err


def test_what_a_killed_run_was_writing_is_no_result(results, tmp_path, command):
    (results / ".77.i0_0.txt").write_text("0.1")
    code, out, _ = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 0 and "Total data: 6, top1 accuracy: 1.0" in out


def test_an_image_outside_the_class_folders_does_not_give_its_result_to_another(tmp_path, command):
    for name in ("a.png", "blue/a.png", "green/b.png"):
        write_image(tmp_path / "val" / name, 0, 1)
    (tmp_path / "results").mkdir()
    for name, label in {"a": 1, "blue__a": 0, "b": 1}.items():
        np.eye(2, dtype=np.float32)[label].tofile(tmp_path / "results" / f"{name}_0.bin")
    code, out, err = command(
        postprocess_command.main, "--result_dir", tmp_path / "results", "--data_dir", tmp_path / "val", "--result_json",
        tmp_path / "r.json",
    )  # fmt: skip
    assert code == 3 and "Total data: 2, top1 accuracy: 1.0" in out and "a_0.bin belongs to no image" in err


def test_names_that_are_not_utf8(tmp_path, command, refused):
    image = write_image(tmp_path / "val" / "odd" / "a.png", 0, 1)
    write_image(tmp_path / "val" / "other" / "b.png", 0, 1)
    image.rename(image.with_name(os.fsdecode(b"caf\xe9.png")))
    line = refused(label_command.main, "--img_path", tmp_path / "val", "--output", tmp_path / "labels.json")
    assert "'caf\\udce9.png' is not UTF-8" in line
    (tmp_path / "results").mkdir()
    np.eye(2, dtype=np.float32)[1].tofile(tmp_path / "results" / "b_0.bin")
    code, out, err = command(
        postprocess_command.main, "--result_dir", tmp_path / "results", "--data_dir", tmp_path / "val", "--result_json",
        tmp_path / "r.json",
    )  # fmt: skip
    assert code == 3 and "Total data: 2, top1 accuracy: 0.5" in out and json.loads((tmp_path / "r.json").read_text())


def test_names_with_dots_never_take_the_result_of_another_image(results, tmp_path, command, refused):
    (tmp_path / "labels.json").write_text('{"i0.JPEG": 0, "i0.b.JPEG": 0, "i1.b.JPEG": 1}')
    code, _, err = command(postprocess_command.main, *arguments(tmp_path))
    assert code == 3 and "result missing: i0.b.JPEG has no i0.b_0.bin" in err and "i1" not in err
    (tmp_path / "labels.json").write_text('{"i0.a.JPEG": 0, "i0.b.JPEG": 0}')
    assert "i0_0.bin would be the result of 2 images" in refused(postprocess_command.main, *arguments(tmp_path))


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--label_file", ""], ["label_file: no value", "--data_dir"]),
        (["--label_file", "gone.json"], ["label_file: cannot read 'gone.json'"]),
        (["--result_dir", "gone"], ["result_dir: no such folder 'gone'"]),
        (["--num_classes", 3], ["num_classes: i3.JPEG has label 3, but the network has 3 classes"]),
    ],
)
def test_postprocess_refuses_in_one_line(results, tmp_path, refused, change, parts):
    line = refused(postprocess_command.main, *arguments(tmp_path), *change)
    assert all(part in line for part in parts), line


def test_a_folder_that_is_not_the_one(results, tmp_path, refused):
    (results / "i0_0.txt").write_text("1 2 3 4")
    assert "holds 6 .bin and 1 .txt files" in refused(postprocess_command.main, *arguments(tmp_path))
    (results / "i0_0.txt").unlink()
    results.rename(tmp_path / "2026_01_01")
    results.mkdir()
    (tmp_path / "2026_01_01").rename(results / "2026_01_01")  # as ais_bench without --output_dirname
    line = refused(postprocess_command.main, *arguments(tmp_path))
    assert "no results" in line and f"--result_dir {results}/2026_01_01" in line
    (tmp_path / "labels.json").write_text('{"a.JPEG": 1.5}')
    line = refused(postprocess_command.main, *arguments(tmp_path), "--result_dir", results / "2026_01_01")
    assert "the label of 'a.JPEG' must be a class number" in line


def test_postprocess_runs_where_mindspore_is_not_installed(results, tmp_path):
    (tmp_path / "mindspore.py").write_text("raise ImportError('not here')")
    outcome = subprocess.run(
        [sys.executable, str(ROOT / "postprocess.py"), *map(str, arguments(tmp_path))], capture_output=True, text=True,
        check=False, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert outcome.returncode == 0 and "Total data: 6" in outcome.stdout, outcome.stderr
