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
    Image.new("RGB", (9, 9)).save(data / "red/picture.bmp", "GIF")
    os.mkfifo(data / "red/pipe.png")
    escape = "red/\x1b[2J\n.jpg"
    (data / escape).write_bytes(b"x")
    os.link(tmp_path / "good.jpg", data / "red/zz.webp")  # what is inside decides
    (data / "green/not_an_image.txt").write_text("passed over")
    line = refusal(exported, data, code=3)
    assert "6 of 40 images could not be read, first red/\\x1b[2J\\n.jpg: is not an image" in line
    failed = (tmp_path / "out/failed.txt").read_text().splitlines()
    names = [entry.split("\t")[0] for entry in failed]
    assert names == [
        "red/\\x1b[2J\\n.jpg", "red/aa_cut.jpg", "red/empty.jpg", "red/picture.bmp", "red/pipe.png", "red/text.png",
    ]  # fmt: skip
    assert failed[1].endswith("\tis truncated or damaged") and failed[4].endswith("pipe.png: is no regular file")
    assert failed[3].endswith("\tis a GIF file; JPEG, PNG, BMP, TIFF and WebP are read")
    assert len(logits_of(tmp_path / "out")) == 34 and "Total data: 34," in (tmp_path / "out/acc.log").read_text()

    # A second run without bad files leaves no trace of them.
    (data / "green/green0.PNG").unlink()
    (data / "red/zz.webp").unlink()
    for name in (escape, *names[1:]):
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
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, 8))  # bytes; the logits are 12

    command = ["--model_path", exported, "--dataset_path", trained["data"] / "val", "--output", tmp_path / "out"]
    result = run(infer_programs / "infer_images", *command, preexec_fn=limit_file_size)
    assert result.returncode == 1 and re.fullmatch(r"error: .*_0.bin: cannot be written: File too large\n", result.stderr)
    assert not list((tmp_path / "out/result_Files").iterdir())


def test_a_full_standard_output_is_an_error(infer_programs, exported, trained, tmp_path):
    command = [infer_programs / "infer_images", "--model_path", exported, "--dataset_path", trained["data"] / "val"]
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [*command, "--output", tmp_path / "out"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 1 and process.stderr == "error: standard output: No space left on device\n"


def test_what_a_killed_run_left_is_removed(infer, exported, trained, tmp_path):
    data, out = trained["data"] / "val", tmp_path / "out"
    (out / "result_Files").mkdir(parents=True)
    (out / "time_Result").mkdir()
    for folder in (out, out / "result_Files", out / "time_Result"):
        (folder / ".infer-0123456789abcdef.tmp").write_bytes(b"part")
    assert infer(exported, data).returncode == 0
    assert not list(out.rglob(".*"))


def test_other_endings_are_counted_and_named(infer, exported, trained, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(trained["data"] / "val", data)
    for name in ("red/a.GIF", "red/b.gif", "blue/c.heic", "blue/plain"):
        (data / name).touch()
    assert "4 files passed over: 2 .gif, 1 without ending, 1 .heic\n" in infer(exported, data).stdout


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


def test_models_that_reach_beyond_their_file_are_one_line(infer_programs, exported, tmp_path):
    """Through infer_bin, which needs no description."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.bin").write_bytes(bytes(4 * 3 * 16 * 16))

    def refused(model: Path) -> str:
        result = run(
            infer_programs / "infer_bin", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out",
            "--output_dirname", "r",
        )  # fmt: skip
        assert result.returncode == 2 and re.fullmatch(r"error: --model: .*\n", result.stderr), result.stderr
        return result.stderr

    def changed(name: str, change) -> Path:
        model = onnx.load(exported)
        change(model)
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    def point_outside(location: str, offset: int):
        def change(model):
            tensor = model.graph.initializer[0]
            size = len(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", location), ("offset", offset), ("length", size)):
                tensor.external_data.add(key=key, value=str(value))

        return change

    (tmp_path / "weights").write_bytes(bytes(1 << 20))
    for number, location in enumerate(("*/_ORT_MEM_ADDR_/*", "weights", "../weights", "/etc/passwd")):
        assert "outside the file" in refused(changed(f"outside{number}", point_outside(location, 4096)))

    def short(model):
        model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]

    assert "do not have the size that it says" in refused(changed("short", short))

    def own_domain(model):
        model.graph.node[0].domain = "somebody"

    assert "of the domain 'somebody'; only ONNX's own are accepted" in refused(changed("domain", own_domain))

    def deep(model):
        graph = onnx.GraphProto()
        for _ in range(30):
            outer = onnx.GraphProto()
            outer.node.add(op_type="If").attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(graph)
            graph = outer
        model.graph.node.extend(graph.node)

    assert "is nested more than 24 deep" in refused(changed("deep", deep))


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
