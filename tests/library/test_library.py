"""The library's answers are those of the commands."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import eval as eval_command
import src as zoo
from conftest import CLASSES, write_image
from src import library
from src.__main__ import run
from src.data import scan


@pytest.fixture(scope="module")
def model(trained) -> zoo.Model:
    return zoo.load(trained["ckpt"], platform="CPU", eval_batch_size=8)


@pytest.fixture(scope="module")
def paths(trained) -> list:
    return sorted((trained["data"] / "val").rglob("*.*"))[::6]


def test_one_image_however_it_is_given(model, paths, command, trained):
    path = paths[0]
    arguments = ["--pretrained", trained["ckpt"], "--platform", "CPU", "--predict", path, "--predict_json", 1, "--top_k", 2]
    code, out, _ = command(eval_command.main, *arguments)
    (expected,) = [json.loads(line)["predictions"] for line in out.splitlines()]
    found = model.predict(str(path), top_k=2)
    assert code == 0 and [p.name for p in found] == [p["class"] for p in expected]
    assert [p.index for p in found] == [p["index"] for p in expected]
    np.testing.assert_allclose([p.probability for p in found], [p["probability"] for p in expected], atol=1e-6)
    picture = Image.open(path)
    pixels = np.asarray(picture)
    for image in (path, picture, pixels):
        assert [p.name for p in model.predict(image, top_k=2)] == [p.name for p in found]
    lossless = Image.open(next(p for p in paths if p.suffix == ".PNG"))
    assert model.predict(lossless) == model.predict(Path(lossless.filename))
    assert isinstance(found[0], zoo.Prediction) and found[0].name in CLASSES and 0 < found[0].probability <= 1


def test_several_images_and_folders(model, paths, trained):
    alone = [model.predict(path, top_k=1)[0] for path in paths]
    for several in (paths, tuple(map(str, paths)), iter(paths)):
        assert [found.name for (found,) in model.predict(several, top_k=1)] == [one.name for one in alone]
    opened = [Image.open(path).convert("RGB").resize((20, 20)) for path in paths]
    stacked = np.stack([np.asarray(picture) for picture in opened])
    assert model.predict(opened) == model.predict(stacked)
    folder = model.predict(trained["data"] / "val", top_k=1)
    assert len(folder) == 33 and {path: folder[path][0].name for path in paths} == dict(
        zip(paths, [one.name for one in alone])
    )
    assert model.predict([]) == []


def test_a_bad_file_in_a_folder_is_named_and_left_out(model, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(library.log, "propagate", True)
    good = write_image(tmp_path / "good.png", 0, seed=1)
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert list(model.predict(tmp_path)) == [good]
    assert "bad.png: is not an image" in caplog.text


def test_accuracy_is_that_of_the_command_and_no_process_is_started(model, trained, tmp_path, command, monkeypatch):
    result = tmp_path / "result.json"
    data = ["--data_dir", trained["data"], "--cache_dir", tmp_path / "cache", "--result_json", result]
    assert command(eval_command.main, "--pretrained", trained["ckpt"], "--platform", "CPU", *data)[0] == 0
    expected = json.loads(result.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scan, "_CHUNK", 1)
    monkeypatch.setattr(scan, "ProcessPoolExecutor", None)
    found = model.evaluate(trained["data"])
    assert found._asdict() == {name: expected[name] for name in found._fields} and found.images == 33
    assert not (tmp_path / "outputs").exists()


def test_exports_answer_as_the_checkpoint(model, exported, paths):
    export = zoo.load(exported)
    assert export.classes == model.classes == CLASSES and export.preprocessing == model.preprocessing
    np.testing.assert_allclose(export.logits(paths), model.logits(paths), atol=1e-4)


def test_logits_of_preprocessed_images(model):
    images = np.random.default_rng(3).normal(size=(11, 3, 16, 16)).astype(np.float32)
    logits = model.logits(images)
    assert logits.shape == (11, 3) and logits.dtype == np.float32
    np.testing.assert_allclose(np.concatenate([model.logits(image[None]) for image in images]), logits, atol=1e-5)


def test_only_sizes_that_are_powers_of_two_are_compiled(model):
    sizes = set()

    def classify(images: np.ndarray) -> np.ndarray:
        sizes.add(len(images))
        return np.zeros((len(images), 3), np.float32)

    other = zoo.Model(replace(model._classifier, classify=classify), model._config)
    for count in range(1, 20):
        assert other.logits(np.zeros((count, 3, 16, 16), np.float32)).shape == (count, 3)
        assert len(other.predict(np.zeros((count, 9, 9, 3), np.uint8))) == count
    assert sizes == {1, 2, 4, 8}


def test_networks_by_name():
    assert {"resnet50", "resnest50d"} < set(zoo.list_models())
    assert zoo.create_model("resnext11_8x16d", num_classes=3).set_train(False).get_parameters()
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        zoo.train  # noqa: B018


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model, run: zoo.load("no.ckpt"), "no such file 'no.ckpt'"),
        (lambda model, run: zoo.load(run), "a folder; name a file, for example .*best.ckpt"),
        (lambda model, run: zoo.load(run / "last.ckpt", backbon="resnet50"), "backbon: unknown key in load; did you mean"),
        (lambda model, run: zoo.load(run / "last.ckpt", eval_batch_size=0), "eval_batch_size: .*got 0"),
        (lambda model, run: model.predict("no.jpg"), "no.jpg: no such image file"),
        (lambda model, run: model.predict(run / "last.ckpt"), "last.ckpt: is not an image"),
        (lambda model, run: model.predict(3), "a PIL image or RGB pixels .* got int"),
        (lambda model, run: model.predict(np.zeros((5, 5, 3))), r"RGB pixels uint8 .* got float64 \(5, 5, 3\)"),
        (lambda model, run: model.predict(["a.png", np.zeros((5, 5, 3), np.uint8)]), "files and pixels in one list"),
        (lambda model, run: model.logits(np.zeros((2, 3, 5, 5), np.float32)), r"expected float32 \(N, 3, 16, 16\), got"),
        (lambda model, run: model.evaluate(run / "nowhere"), "no such folder"),
    ],
)
def test_a_mistake_is_one_line(model, trained, call, message):
    with pytest.raises(zoo.UserError, match=message) as caught:
        call(model, trained["run"])
    assert "\n" not in str(caught.value)


def test_the_command_of_a_checkout(command, refused, trained, paths):
    assert command(run, "--help")[1].startswith("usage: python -m src COMMAND")
    assert "write python -m src predict IMAGE" in refused(run, "predict", "--pretrained", "x.ckpt")
    arguments = ["--pretrained", trained["ckpt"], "--platform", "CPU"]
    code, out, _ = command(run, "predict", paths[0], *arguments)
    assert (code, out) == command(eval_command.main, "--predict", paths[0], *arguments)[:2] and str(paths[0]) in out
