"""The page that runs end with, and pictures of why: what train.py, eval.py and `report` write."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import eval as eval_command
import train as train_command
from conftest import CLASSES, TINY, run_arguments, write_data_set, write_image
from src.config import build_config
from src.evaluation.gradcam import heat_maps
from src.formats.opening import load_classifier
from src.report import answers as answer_file

pytest.importorskip("matplotlib", reason="the page is an optional extra: pip install '.[report]'")
pytestmark = pytest.mark.report


def cards(html: str) -> str:
    return " ".join(
        re.sub("<[^>]+>", " ", html[html.index('<ul class="cards"') : html.index('<section id="what-ran"')]).split()
    )


def test_training_ends_with_the_page_of_its_last_evaluation(trained):
    answers = answer_file.load(trained["run"] / "answers.npz")
    events = [json.loads(line) for line in (trained["run"] / "metrics.jsonl").read_text().splitlines()]
    last = [event for event in events if event["event"] == "eval"][-1]
    assert {key: answers.result[key] for key in ("images", "top1_correct", "top5_correct")} == {
        key: last[key] for key in ("images", "top1_correct", "top5_correct")
    }
    assert int((answers.ranks < 1).sum()) == last["top1_correct"] and len(answers) == last["images"] == 33
    assert answers.class_names == CLASSES and (answers.ranks == 0).tolist() == (answers.guesses == answers.labels).tolist()
    html = (trained["run"] / "report.html").read_text()
    assert f"{last['top1']:.2%} top-1, {last['top1_correct']} of 33 images" in cards(html)
    (start,) = [event for event in events if event["event"] == "start"]
    assert start["train_images"] == 36 and start["eval_images"] == 33 and start["cores"] >= 1 and start["processor"] in html
    pictures = list(answers.pictures.values())
    assert pictures and all(picture.heat for picture in pictures) and pictures[0].name.startswith(CLASSES)


def test_an_evaluation_ends_with_a_page_of_the_numbers_in_its_result(trained, exported, tmp_path, command):
    values = {"data_dir": trained["data"] / "val", "cache_dir": tmp_path / "cache", "eval_path": tmp_path / "eval"}
    arguments = [text for key, value in values.items() for text in (f"--{key}", value)]
    code, out, err = command(eval_command.main, "--pretrained", exported, *arguments, "--result_json", tmp_path / "r.json")
    assert code == 0 and f"report: {tmp_path / 'eval/report.html'}" in out, err
    result = json.loads((tmp_path / "r.json").read_text())
    html = (tmp_path / "eval/report.html").read_text()
    for k in (1, 5):
        assert f"{result[f'top{k}']:.2%} top-{k}, {result[f'top{k}_correct']} of 33 images" in cards(html)
    answers = answer_file.load(tmp_path / "eval/answers.npz")
    assert {**answers.result, **result} == answers.result
    assert f"<td>{answers.result['processor']}</td>" in html and f"<td>{exported}</td>" in html
    assert all(picture.heat for picture in answers.pictures.values())  # an ONNX file can be looked into as well

    # Its accuracy of each class is that of eval.py on the images of that class alone.
    for number, name in enumerate(CLASSES):
        found = answers.ranks[answers.labels == number]
        only = tmp_path / name
        (only / name).parent.mkdir()
        (only / name).symlink_to(trained["data"] / "val" / name)
        arguments = ["--pretrained", exported, "--data_dir", only, "--report", 0, "--result_json", tmp_path / "one.json"]
        assert command(eval_command.main, *arguments, "--cache_dir", tmp_path / "cache")[0] == 0
        one = json.loads((tmp_path / "one.json").read_text())
        assert (one["images"], one["top1_correct"]) == (len(found), int((found < 1).sum()))


def test_report_0_writes_none(tmp_path, command):
    data = write_data_set(tmp_path / "data", per_class=4)
    assert command(train_command.main, *run_arguments(data, tmp_path, report=0))[0] == 0
    assert not {"report.html", "answers.npz"} & {path.name for path in (tmp_path / "run").iterdir()}
    checkpoint = tmp_path / "run/last.ckpt"
    arguments = ["--pretrained", checkpoint, "--data_dir", data / "val", "--eval_path", tmp_path / "eval"]
    assert command(eval_command.main, *arguments, "--report", 0, "--cache_dir", tmp_path / "cache")[0] == 0
    assert not (tmp_path / "eval").exists()


def test_a_page_that_cannot_be_written_is_a_warning(trained, tmp_path, command):
    (tmp_path / "file").write_text("no folder")
    arguments = ["--pretrained", trained["ckpt"], "--data_dir", trained["data"] / "val", "--cache_dir", tmp_path / "cache"]
    code, out, err = command(eval_command.main, *arguments, "--eval_path", tmp_path / "file/eval")
    assert code == 0 and "(TOP5)" in out
    assert err.count("no report: ") == 1 and "cannot be written" in err and "Traceback" not in err


def test_explain_writes_where_the_network_saw_its_class(trained, tmp_path, command):
    image = write_image(tmp_path / "one.png", color=1, seed=5, size=(18, 18))
    picture = tmp_path / "why.png"
    arguments = ["--predict", image, "--pretrained", trained["ckpt"], "--cache_dir", tmp_path / "cache"]
    code, out, _ = command(eval_command.main, *arguments, "--explain", picture)
    assert code == 0 and f"explained: {picture}" in out
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    assert pixels.shape == (224, 448, 3)
    left, right = np.split(pixels, 2, axis=1)
    assert left[..., 1].mean() > left[..., 0].mean() + 50  # the green image, as it was read
    warm = right[..., 0] - right[..., 2]
    assert warm.max() > 60 and warm.min() < 20  # some of it is hot, some is not


def test_the_heat_of_a_checkpoint_and_of_its_onnx_file_are_the_same(trained, exported):
    images = np.random.default_rng(1).standard_normal((3, 3, 16, 16)).astype(np.float32)
    config = build_config({"platform": "CPU"})
    inside = [load_classifier(file, config).inside() for file in (trained["ckpt"], exported)]
    maps = [heat_maps(one, images, np.array([2, 0, 1])) for one in inside]
    assert maps[0].shape == (3, 16, 16) and maps[0].std() > 0.1 and np.abs(maps[0] - maps[1]).max() < 1e-4
    logits = load_classifier(trained["ckpt"], config).classify(images)
    assert np.array_equal(inside[0].last_stage(images)[1], logits)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--explain", "a.png"], "name that with --predict IMAGE"),
        (["--predict", "x.png", "--explain", "a.gif"], "must end in .png or .jpg"),
    ],
)
def test_what_cannot_be_explained_is_one_line(trained, refused, arguments, reason):
    assert reason in refused(eval_command.main, "--pretrained", trained["ckpt"], *arguments)


def test_a_folder_or_a_mindir_cannot_be_explained(trained, tmp_path, refused):
    import export as export_command

    arguments = ["--predict", trained["data"] / "val", "--cache_dir", tmp_path / "cache", "--explain", tmp_path / "a.png"]
    assert "is for one image, predict names 33" in refused(eval_command.main, "--pretrained", trained["ckpt"], *arguments)
    model = tmp_path / "net.mindir"
    export = ["--ckpt_file", str(trained["ckpt"]), "--file_name", str(model), *TINY]
    assert export_command.main(export) == 0
    image = next((trained["data"] / "val/red").iterdir())
    arguments = ["--pretrained", model, "--predict", image, "--cache_dir", tmp_path / "cache"]
    assert "gives logits alone" in refused(eval_command.main, *arguments, "--explain", tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
