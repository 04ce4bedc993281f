"""What infer_images says and leaves behind when images, models, flags or the disk are not as they should be."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import onnx
import pytest
from photos import photo
from PIL import Image
from programs import infer_fixture, logits_of, reexported, refusal_fixture, run  # noqa: F401

from src.model_info import file_digest

pytestmark = pytest.mark.slow


def test_unreadable_images_are_named_and_the_rest_is_done(infer, refusal, exported, trained, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(trained["data"] / "val", data)
    Image.fromarray(photo(200, 150, 0)).save(tmp_path / "good.jpg")
    good = (tmp_path / "good.jpg").read_bytes()
    (data / "red/aa_cut.jpg").write_bytes(good[: len(good) // 2])
    (data / "red/empty.jpg").touch()
    (data / "red/text.png").write_text("no image")
    Image.new("RGB", (9, 9)).save(data / "red/picture.bmp")
    (data / "green/not_an_image.txt").write_text("passed over")
    line = refusal(exported, data, code=3)
    assert "4 of 37 images could not be read, first red/aa_cut.jpg: is truncated or damaged" in line
    failed = (tmp_path / "out/failed.txt").read_text().splitlines()
    names = [entry.split("\t")[0] for entry in failed]
    assert names == ["red/aa_cut.jpg", "red/empty.jpg", "red/picture.bmp", "red/text.png"]
    assert failed[2].endswith("is a BMP file; this program decodes JPEG and PNG")
    assert len(logits_of(tmp_path / "out")) == 33 and "Total data: 33," in (tmp_path / "out/acc.log").read_text()

    # A second run without bad files leaves no trace of them.
    (data / "green/green0.PNG").unlink()
    for name in names:
        (data / name).unlink()
    assert infer(exported, data).returncode == 0
    assert not (tmp_path / "out/failed.txt").exists() and len(logits_of(tmp_path / "out")) == 32

    for path in data.glob("*/*.*"):
        path.write_bytes(b"x")
    assert "32 of 32 images could not be read" in refusal(exported, data, code=3)
    assert not (tmp_path / "out/acc.log").exists() and not logits_of(tmp_path / "out")


def test_a_jpeg_made_to_cost_time_is_refused(refusal, exported, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    Image.fromarray(photo(64, 64, 1)).save(data / "a.jpg", progressive=True)
    content = (data / "a.jpg").read_bytes()
    last_scan = content.rindex(b"\xff\xda")
    (data / "a.jpg").write_bytes(content[:last_scan] + 600 * content[last_scan:-2] + content[-2:])
    assert "a.jpg: cannot be decoded (more than 500 scans)" in refusal(exported, data, code=3)


def test_a_full_disk_is_one_line_and_leaves_no_partial_file(infer_programs, exported, trained, tmp_path):
    def limit_file_size():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))  # bytes; the logits are 12

    command = ["--model_path", exported, "--dataset_path", trained["data"] / "val", "--output", tmp_path / "out"]
    result = run(infer_programs / "infer_images", *command, preexec_fn=limit_file_size)
    assert result.returncode == 1 and re.fullmatch(r"error: .*_0.bin: cannot be written: File too large\n", result.stderr)
    assert not list((tmp_path / "out/result_Files").iterdir())


def test_mistakes_are_one_line(refusal, exported, trained, tmp_path):
    data = trained["data"] / "val"
    assert "no such file 'nowhere.onnx'" in refusal("nowhere.onnx", data)
    assert "no such file or folder 'nowhere'" in refusal(exported, "nowhere")
    (tmp_path / "none").mkdir()
    assert "no images in" in refusal(exported, tmp_path / "none")
    assert "--bach: unknown flag; did you mean --batch?" in refusal(exported, data, "--bach", 1)
    assert "--topk: has an effect with --outfmt JSON only" in refusal(exported, data, "--topk", 1)
    assert "--batch: expected a number from 1" in refusal(exported, data, "--batch", 0)
    (tmp_path / "file").touch()
    assert "the folder cannot be made" in refusal(exported, data, output=tmp_path / "file" / "out", code=1)


def test_models_that_cannot_be_used_are_one_line(refusal, exported, trained, tmp_path):
    data = trained["data"] / "val"
    alone = Path(shutil.copy(exported, tmp_path / "alone.onnx"))
    assert "alone.onnx.meta.json: missing; it holds the preprocessing" in refusal(alone, data)

    damaged = reexported(exported, tmp_path / "damaged")
    damaged.write_bytes(exported.read_bytes()[:-100])
    assert "damaged or replaced: its checksum is not the one in" in refusal(damaged, data)

    for number, (change, message) in enumerate([
        ({"image_size": [16]}, "image_size must be [height, width]"),
        ({"image_size": [8, 8]}, "has the input height 16, but its .meta.json says 8"),
        ({"resize": 1e9}, "resize must be a whole number from 1 to"),
        ({"resize": 4}, "resize must not be smaller than image_size"),
        ({"std": [1, 0, 1]}, "std must be three positive numbers"),
        ({"resize_mode": "other"}, "resize_mode must be shorter or square"),
        ({"antialias": "yes"}, "antialias must be true or false"),
    ]):  # fmt: skip
        assert message in refusal(reexported(exported, tmp_path / f"meta{number}", **change), data)

    broken = reexported(exported, tmp_path / "json")
    for text in ("{", "", "[" * 1_000_000, '{"a":' * 1_000_000, "[1]", '{"sha256": 1}'):
        Path(f"{broken}.meta.json").write_text(text)
        assert "network.onnx.meta.json: cannot be used: " in refusal(broken, data)

    summed = onnx.load(exported)  # one row of logits, whatever the batch
    last = summed.graph.node[-1]
    last.output[0], name = "rows", last.output[0]
    summed.graph.node.append(onnx.helper.make_node("ReduceMean", ["rows"], [name], axes=[0], keepdims=1))
    onnx.save(summed, tmp_path / "summed.onnx")
    meta = {**json.loads(Path(f"{exported}.meta.json").read_text()), "sha256": file_digest(tmp_path / "summed.onnx")}
    (tmp_path / "summed.onnx.meta.json").write_text(json.dumps(meta))
    assert "gives 1 rows of logits for a batch of 4" in refusal(tmp_path / "summed.onnx", data, "--batch", 4)

    other = Path(shutil.copy(exported, tmp_path / "network.om"))
    shutil.copy(f"{exported}.meta.json", f"{other}.meta.json")
    assert "needs AscendCL, which was not found when this program was built" in refusal(other, data)
    renamed = Path(shutil.copy(exported, tmp_path / "network.pb"))
    shutil.copy(f"{exported}.meta.json", f"{renamed}.meta.json")
    assert "must end in .onnx, .om or .mindir" in refusal(renamed, data)


def test_an_interrupt_leaves_complete_files_only(infer_programs, exported, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    first = data / "0.png"
    Image.fromarray(photo(900, 900, 0)).save(first)
    for i in range(1, 3000):
        os.link(first, data / f"{i}.png")
    process = subprocess.Popen(
        [infer_programs / "infer_images", "--model_path", exported, "--dataset_path", data, "--output", out, "--threads=1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for _ in range(400):
        if len(list((out / "result_Files").glob("*_0.bin"))) > 3:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    done = list((out / "result_Files").iterdir())
    assert process.returncode == 130, err
    assert re.fullmatch(rf"error: interrupted: {len(done)} of 3000 images are done; their results are complete\n", err)
    assert 3 < len(done) < 3000 and {path.stat().st_size for path in done} == {12}
