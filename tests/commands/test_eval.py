import json
import shutil

import numpy as np
import pytest
from PIL import Image

import eval as eval_command
import export as export_command
from conftest import CLASSES, TINY, write_image
from src import checkpoint
from src.models.create import create_model


@pytest.fixture(scope="module")
def exports(trained) -> dict:
    """Ending -> file, of the trained network."""
    from src.errors import run_command
    from src.weights.__main__ import main as weights_command

    files = {".ckpt": trained["ckpt"], ".safetensors": trained["root"] / "exported.safetensors"}
    arguments = [*TINY[:2], "--source", str(files[".ckpt"]), "--output", str(files[".safetensors"])]
    assert run_command(weights_command, arguments) == 0
    for kind in ("MINDIR", "ONNX"):
        file = trained["root"] / f"exported.{kind.lower()}"
        arguments = ["--ckpt_file", str(trained["ckpt"]), "--file_format", kind, "--file_name", str(file)]
        assert run_command(export_command.main, arguments) == 0
        files[file.suffix] = file
    return files


def settings(trained, tmp_path) -> list:
    return ["--data_dir", trained["data"] / "val", "--cache_dir", tmp_path / "cache"]


@pytest.mark.parametrize("ending", [".ckpt", ".mindir", ".onnx", ".safetensors"])
def test_every_format_counts_every_image_once_whatever_the_batch_size(trained, exports, tmp_path, command, ending):
    results = []
    named = TINY[:2] if ending == ".safetensors" else []
    for batch_size in (1, 7, 100):
        code, out, _ = command(
            eval_command.main, "--pretrained", exports[ending], *settings(trained, tmp_path), *named,
            "--eval_batch_size", batch_size, "--result_json", tmp_path / "result.json",
        )  # fmt: skip
        assert code == 0
        results.append(json.loads((tmp_path / "result.json").read_text()))
        correct = results[-1]["top1_correct"]
        assert f"after allreduce eval: top1_correct={correct}, tot=33, acc={correct / 33:.2%}(TOP1)" in out
        assert f"acc={correct / 33:.2%}(TOP1)" in out.splitlines() and "acc=100.00%(TOP5)" in out.splitlines()
        assert "Inference Performance: " in out and " img/sec" in out
    assert {result["images"] for result in results} == {33}
    assert results[0]["preprocessing"]["image_size"] == [16, 16] and results[0]["config"]["eval_batch_size"] == 1
    assert len({result["top1_correct"] for result in results}) == 1


def test_weights_of_pytorch_need_the_name_of_their_network_and_only_eval_takes_them_as_they_are(exports, command):
    code, _, err = command(eval_command.main, "--pretrained", exports[".safetensors"], "--predict", "nowhere")
    assert code == 2 and "does not tell its network; pass --backbone NAME" in err
    code, _, err = command(export_command.main, "--ckpt_file", exports[".safetensors"])
    assert code == 2 and "import them first: python -m src.weights --backbone NAME" in err


def test_the_training_run_and_eval_agree(trained, tmp_path, command):
    command(
        eval_command.main, "--pretrained", trained["ckpt"], *settings(trained, tmp_path),
        "--result_json", tmp_path / "result.json",
    )  # fmt: skip
    events = [json.loads(line) for line in (trained["run"] / "metrics.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "eval"][-1]
    assert last["top1_correct"] == json.loads((tmp_path / "result.json").read_text())["top1_correct"]


def test_a_folder_of_checkpoints_gives_the_best_and_names_the_bad_ones(trained, tmp_path, command):
    shutil.copytree(trained["run"], tmp_path / "run")
    (tmp_path / "run" / "bad.ckpt").write_bytes(b"broken")
    code, out, err = command(
        eval_command.main, "--pretrained", tmp_path / "run", *settings(trained, tmp_path),
        "--result_json", tmp_path / "result.json",
    )  # fmt: skip
    assert code == 1 and "bad.ckpt: not a MindSpore checkpoint" in err and "best of 4 checkpoints" in out
    assert json.loads((tmp_path / "result.json").read_text())["refused"] == [str(tmp_path / "run" / "bad.ckpt")]


def test_a_flat_folder_with_a_label_file(trained, tmp_path, command):
    lines = []
    for i in range(5):
        write_image(tmp_path / "flat" / f"ILSVRC2012_val_{i:08}.JPEG", 2 - i % 3, 900 + i)
        lines.append(f"ILSVRC2012_val_{i:08}.JPEG {i % 3}")
    (tmp_path / "labels.txt").write_text("\n".join(lines))
    code, out, _ = command(
        eval_command.main, "--pretrained", trained["ckpt"], "--data_dir", tmp_path / "flat", "--label_file",
        tmp_path / "labels.txt", "--cache_dir", tmp_path,
    )  # fmt: skip
    assert code == 0 and "tot=5" in out


def test_predictions_as_text_and_as_json_lines(trained, exports, tmp_path, command):
    image = write_image(tmp_path / "red.png", 0, 77)
    code, out, _ = command(eval_command.main, "--predict", image, "--pretrained", exports[".onnx"], "--cache_dir", tmp_path)
    assert code == 0
    assert out.splitlines()[0] == str(image) and out.splitlines()[1].split()[1] == "red"
    code, out, _ = command(
        eval_command.main, "--predict", trained["data"] / "val", "--pretrained", trained["ckpt"], "--predict_json", 1,
        "--cache_dir", tmp_path, "--top_k", 2,
    )  # fmt: skip
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(lines) == 33
    right = 0
    for line in lines:
        first, second = line["predictions"]
        assert first["class"] == CLASSES[first["index"]] and first["probability"] >= second["probability"]
        right += f"/{first['class']}/" in line["image"]
    assert right >= 30


def test_names_of_classes_do_not_steer_the_terminal(trained, tmp_path, command):
    saved = checkpoint.load(trained["ckpt"])
    network = create_model("resnext11_8x16d", 3)
    checkpoint.load_into(network, saved)
    names = ("\x1b[31mblue", "green\nred", "\u202ered")
    checkpoint.save(network, tmp_path / "a.ckpt", saved.info.model_copy(update={"class_names": names}))
    image = trained["data"] / "val/red/red0.PNG"
    arguments = ["--predict", image, "--pretrained", tmp_path / "a.ckpt", "--cache_dir", tmp_path]
    code, out, err = command(eval_command.main, *arguments)
    assert code == 0 and r"\x1b[31mblue" in out and r"green\nred" in out and r"\u202ered" in out
    code, lines, err = command(eval_command.main, *arguments, "--predict_json", "1")
    assert code == 0 and {entry["class"] for entry in json.loads(lines)["predictions"]} == set(names)
    assert not {"\x1b", "\u202e"} & set(out + lines + err)


def test_a_prediction_names_files_that_cannot_be_read_and_does_the_others(trained, tmp_path, command):
    write_image(tmp_path / "images" / "a.png", 0, 1)
    Image.new("CMYK", (30, 30)).save(tmp_path / "images" / "cmyk.jpg")
    Image.fromarray(np.full((20, 20), 40_000, np.uint16)).save(tmp_path / "images" / "sixteen.png")
    (tmp_path / "images" / "bad.jpg").write_bytes(b"broken")
    code, out, err = command(
        eval_command.main, "--predict", tmp_path / "images", "--pretrained", trained["ckpt"], "--cache_dir", tmp_path
    )
    assert code == 3 and "bad.jpg: is not an image" in err
    assert all(name in out for name in ("a.png", "cmyk.jpg", "sixteen.png"))


def damaged(path, tmp_path):
    """A copy with one byte changed in the middle, and its description."""
    copy = tmp_path / path.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(bytes(content))
    meta = path.with_name(path.name + ".meta.json")
    if meta.exists():
        shutil.copy(meta, tmp_path)
    return copy


@pytest.mark.parametrize("ending", [".ckpt", ".mindir", ".onnx"])
def test_a_flipped_bit_is_refused(trained, exports, tmp_path, refused, ending):
    line = refused(eval_command.main, "--pretrained", damaged(exports[ending], tmp_path), *settings(trained, tmp_path))
    assert str(tmp_path) in line and "damaged" in line


@pytest.mark.parametrize("ending", [".ckpt", ".mindir", ".onnx", ".safetensors"])
def test_garbage_is_refused(trained, tmp_path, refused, ending):
    path = tmp_path / f"garbage{ending}"
    path.write_bytes(b"garbage" * 100)
    line = refused(eval_command.main, "--pretrained", path, *settings(trained, tmp_path), *TINY)
    assert str(path) in line


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"pretrained": ""}, ["pretrained: no value"]),
        ({"pretrained": "nowhere.ckpt"}, ["no such file 'nowhere.ckpt'"]),
        ({"pretrained": "network.h5"}, ["network.h5", ".ckpt, .mindir, .onnx"]),
        ({"data_dir": ""}, ["data_dir: no value"]),
        ({"backbone": "resnet20"}, ["backbone: resnet20 was asked for", "resnext11_8x16d"]),
        ({"num_classes": 4}, ["num_classes: 4 was asked for", "holds 3"]),
        ({"label_file": "nowhere.txt"}, ["label_file: cannot read 'nowhere.txt'"]),
        ({"predict": "nowhere.png"}, ["no such folder 'nowhere.png'"]),
        ({"platform": "Ascend"}, ["platform: Ascend is not available"]),
    ],
)
def test_bad_input_is_one_line(trained, tmp_path, refused, change, parts):
    values = {"pretrained": trained["ckpt"], "data_dir": trained["data"] / "val", "cache_dir": tmp_path, **change}
    line = refused(eval_command.main, *[text for key, value in values.items() for text in (f"--{key}", str(value))])
    assert all(part in line for part in parts), line
