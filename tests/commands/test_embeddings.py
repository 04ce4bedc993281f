"""eval.py --embeddings and --neighbors, and what is found with them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import eval as eval_command
from conftest import CLASSES
from src import checkpoint
from src.evaluation import suspects
from src.evaluation.embeddings import SIDE, Embeddings, read_embeddings, write_embeddings
from src.report.label_errors import read_findings


@pytest.fixture(scope="module")
def embedded(trained):
    """The file of the trained network's embeddings of its validation images."""
    from src.errors import run_command

    file = trained["root"] / "val.npz"
    arguments = ["--pretrained", trained["ckpt"], "--data_dir", trained["data"], "--embeddings", file]
    arguments += ["--cache_dir", trained["root"] / "cache", "--platform", "CPU", "--eval_batch_size", "7"]
    assert run_command(eval_command.main, list(map(str, arguments))) == 0
    return file


def test_features_are_what_the_classifier_sees(trained, embedded):
    import src as zoo

    arrays = np.load(embedded)  # anybody's NumPy reads the file
    paths = list(map(Path, arrays["names"]))
    assert [path.parent.name for path in paths] == [CLASSES[label] for label in arrays["labels"]] and len(paths) == 33
    assert tuple(arrays["class_names"]) == CLASSES
    saved = {name: value.asnumpy() for name, value in checkpoint.load(trained["ckpt"]).weights.items()}
    logits = arrays["features"] @ saved["fc.weight"].T + saved["fc.bias"]
    np.testing.assert_allclose(logits, zoo.load(trained["ckpt"], platform="CPU").logits(paths), atol=1e-4)
    pixels = np.asarray(Image.open(paths[0]).convert("RGB"), np.float32)
    gray = pixels @ [0.299, 0.587, 0.114]
    assert arrays["thumbnails"].shape == (33, SIDE, SIDE) and abs(arrays["thumbnails"][0].mean() - gray.mean()) < 5


def test_an_onnx_file_gives_the_features_of_its_checkpoint(trained, exported, embedded, tmp_path, command):
    file = tmp_path / "onnx.npz"
    arguments = ["--pretrained", exported, "--data_dir", trained["data"], "--embeddings", file, "--platform", "CPU"]
    code, out, _ = command(eval_command.main, *arguments, "--cache_dir", tmp_path)
    assert code == 0 and f"{file}: 33 images, 512 features each" in out
    np.testing.assert_allclose(read_embeddings(file).features, read_embeddings(embedded).features, atol=1e-4)


def test_the_nearest_neighbor_of_an_image_is_the_image(trained, embedded, tmp_path, command):
    val = trained["data"] / "val"
    asked = val / "red" / "red0.PNG"
    common = [
        "--pretrained",
        trained["ckpt"],
        "--platform",
        "CPU",
        "--cache_dir",
        tmp_path,
        "--top_k",
        3,
        "--predict",
        asked,
    ]
    code, out, _ = command(eval_command.main, *common, "--neighbors", val)
    first, *lines = out.splitlines()
    assert code == 0 and first == str(asked) and len(lines) == 3
    assert lines[0].split() == ["1.0000", str(asked)] and all("/red/" in line for line in lines)
    code, out, _ = command(eval_command.main, *common, "--neighbors", embedded, "--predict_json", 1)
    answer = json.loads(out)
    assert answer["image"] == str(asked) and {found["class"] for found in answer["neighbors"]} == {"red"}
    assert [found["image"] for found in answer["neighbors"]] == [line.split()[1] for line in lines]
    np.testing.assert_allclose(
        [f["similarity"] for f in answer["neighbors"]], [float(line.split()[0]) for line in lines], atol=1e-4
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--neighbors", "x"], "neighbors: needs --predict IMAGE"),
        (["--predict", "IMAGE", "--neighbors", "nowhere.npz"], "'nowhere.npz': no such file"),
        (["--predict", "IMAGE", "--neighbors", "CKPT.npz"], "damaged, or not what eval.py --embeddings writes"),
        (["--predict", "IMAGE", "--neighbors", "OTHER.npz"], "has 5 features per image, the network gives 512"),
        (["--embeddings", "x.txt"], "embeddings: 'x.txt' must end in .npz"),
    ],
)
def test_a_mistake_is_one_line(trained, tmp_path, refused, arguments, message):
    shutil.copy(trained["ckpt"], tmp_path / "CKPT.npz")
    write_embeddings(tmp_path / "OTHER.npz", made_up(np.eye(5)))
    places = {"IMAGE": trained["data"] / "val/red/red0.PNG"}
    places.update({name: tmp_path / name for name in ("CKPT.npz", "OTHER.npz")})
    given = [places.get(word, word) for word in arguments]
    common = ["--pretrained", trained["ckpt"], "--data_dir", trained["data"], "--cache_dir", tmp_path, "--platform", "CPU"]
    assert message in refused(eval_command.main, *common, *given)


def made_up(features, labels=None, thumbnails=None) -> Embeddings:
    count = len(features)
    random = np.random.default_rng(7)
    return Embeddings(
        np.asarray(features, np.float32),
        np.zeros(count, np.int32) if labels is None else np.asarray(labels, np.int32),
        np.array([f"{i}.png" for i in range(count)]),
        np.array(["cat", "dog"]),
        random.integers(0, 256, (count, SIDE, SIDE)).astype(np.uint8) if thumbnails is None else thumbnails,
    )


def two_kinds() -> Embeddings:
    """15 images of each class, far apart; image 3 bears the wrong label, image 20 is image 19 with a little noise."""
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1], 15)
    features = np.where(labels[:, None], [0, 9], [9, 0]) + random.normal(0, 1, (30, 2))
    labels[3] = 1
    found = made_up(features, labels)
    features[20] = features[19]
    found.thumbnails[20] = np.clip(found.thumbnails[19].astype(int) + random.integers(-1, 2, (SIDE, SIDE)), 0, 255)
    return made_up(features, labels, found.thumbnails)


def test_suspects_are_found_and_no_others(tmp_path, command):
    write_embeddings(tmp_path / "all.npz", two_kinds())
    code, out, _ = command(suspects.main, tmp_path / "all.npz", "--output", tmp_path / "label_errors.json")
    copy, label = json.loads((tmp_path / "label_errors.json").read_text())
    assert [finding.image for finding in read_findings(tmp_path)] == ["19.png", "3.png"]  # as the report reads it
    assert code == 0 and "30 images: 1 duplicates, 1 probable label errors" in out
    assert 0.97 < copy.pop("score") < 1 and copy == {"image": "19.png", "kind": "duplicate", "other": "20.png"}
    assert label.pop("score") >= suspects.AGREEMENT
    assert label == {"image": "3.png", "kind": "label", "label": "dog", "suggested": "cat"}


def test_copies_do_not_vouch_for_each_other():
    kinds = two_kinds()
    kinds.labels[[19, 20]] = 0  # both with the same wrong label
    found = [one["image"] for one in suspects.find_suspects(kinds) if one["kind"] == "label"]
    assert set(found) == {"3.png", "19.png", "20.png"}


def test_images_without_labels_are_no_label_errors():
    kinds = two_kinds()
    kinds.labels[:] = -1
    assert [one["kind"] for one in suspects.find_suspects(kinds)] == ["duplicate"]


def test_planted_images_are_found_with_a_real_network(trained, tmp_path, command):
    data = tmp_path / "data"
    shutil.copytree(trained["data"] / "train", data)
    (data / "red/red2.PNG").rename(data / "blue/wrong.PNG")
    Image.open(data / "green/green3.jpg").save(data / "green/copy.png")
    file, output = tmp_path / "all.npz", tmp_path / "found.json"
    arguments = ["--pretrained", trained["ckpt"], "--data_dir", data, "--cache_dir", tmp_path, "--platform", "CPU"]
    assert command(eval_command.main, *arguments, "--embeddings", file)[0] == 0
    assert command(suspects.main, file, "--output", output)[0] == 0
    found = [(one["kind"], one["image"], one.get("other", one.get("suggested"))) for one in json.loads(output.read_text())]
    assert found == [
        ("duplicate", str(data / "green/copy.png"), str(data / "green/green3.jpg")),
        ("label", str(data / "blue/wrong.PNG"), "red"),
    ]


def test_files_that_are_none_are_refused(tmp_path, refused):
    good = made_up(np.eye(5))
    for name, value in {
        "features": np.full((5, 5), np.nan, np.float32), "labels": np.zeros(4, np.int32), "names": np.zeros(5, np.int32),
        "class_names": np.frombuffer(b"\xff" * 8, "<U2"), "thumbnails": np.zeros((5, 4, 4), np.uint8),
    }.items():  # fmt: skip
        write_embeddings(tmp_path / "bad.npz", Embeddings(**{**vars(good), name: value}))
        assert "damaged, or not what" in refused(suspects.main, tmp_path / "bad.npz")
