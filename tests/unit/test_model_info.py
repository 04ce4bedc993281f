"""What a file says of itself is read, or refused in one line."""

import json

import numpy as np
import pytest
from checkpoints import described, write
from descriptions import (
    ACCEPTED,
    DESCRIPTION,
    REFUSED,
    REFUSED_BY_PYTHON,
    REFUSED_EXPORTS,
    REFUSED_RUNS,
    RUN,
    TEXTS,
    Case,
    as_json,
    changed,
)
from refusals import refusal

import eval as evaluation
from src import checkpoint
from src.model_info import ModelInfo, describe, file_digest, write_meta

TENSORS = {"fc.weight": np.ones((3, 4), np.float32), "train.moment": np.float32(2)}
OF_CHECKPOINTS = [key for key in DESCRIPTION if key != "sha256"]


def names(cases: list) -> dict:
    return {"argvalues": cases, "ids": [case.name for case in cases]}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A file and its good description, both to be overwritten."""
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(b"onnx")
    return path, {**DESCRIPTION, "sha256": file_digest(path)}


def write_description(path, content) -> None:
    path.with_name(path.name + ".meta.json").write_bytes(content if isinstance(content, bytes) else content.encode())


def without_later(value):
    """A description without the keys that are not known."""
    if not isinstance(value, dict):
        return value
    return {key: without_later(item) for key, item in value.items() if key not in ("later", "sha256")}


@pytest.mark.parametrize("case", **names(ACCEPTED))
def test_good_descriptions_of_exports_come_back(model, case):
    path, good = model
    description = changed(good, case)
    write_description(path, as_json(description))
    assert json.loads(json.dumps(describe(path).to_dict())) == without_later({**description, "sha256": None})


@pytest.mark.parametrize("case", **names(REFUSED + REFUSED_EXPORTS + REFUSED_BY_PYTHON))
def test_bad_descriptions_of_exports_are_one_line(model, case):
    path, good = model
    write_description(path, as_json(changed(good, case)))
    refusal(describe, path)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_no_description_is_one_line(model, name, tmp_path):
    path, _ = model
    write_description(path, TEXTS[name])
    refusal(describe, path)
    if name in ("not UTF-8", "UTF-16"):
        return  # the text of a checkpoint is in another encoding
    saved = write(tmp_path / "a.ckpt", described(TENSORS, TEXTS[name].decode()))
    refusal(describe, saved)
    refusal(checkpoint.load, saved)


@pytest.mark.parametrize("case", **names(ACCEPTED))
def test_good_descriptions_of_checkpoints_come_back(tmp_path, case):
    description = changed({**{key: DESCRIPTION[key] for key in OF_CHECKPOINTS}, **RUN}, case)
    path = write(tmp_path / "a.ckpt", described(TENSORS, as_json(description)))
    saved = checkpoint.load(path)
    assert json.loads(json.dumps({**saved.info.to_dict(), **saved.run.to_dict()})) == without_later(description)
    assert describe(path) == saved.info
    assert list(saved.weights) == ["fc.weight"] and saved.run.tensors["moment"].asnumpy() == 2


@pytest.mark.parametrize("case", **names(REFUSED + REFUSED_BY_PYTHON + REFUSED_RUNS))
def test_bad_descriptions_of_checkpoints_are_one_line(tmp_path, case):
    description = changed({**{key: DESCRIPTION[key] for key in OF_CHECKPOINTS}, **RUN}, case)
    path = write(tmp_path / "a.ckpt", described(TENSORS, as_json(description)))
    refusal(checkpoint.load, path)
    if case not in REFUSED_RUNS:
        refusal(describe, path)


@pytest.mark.parametrize("case", [Case("", ("class_names",), None), Case("", ("preprocessing", "std"), [0, 1, 1])])
def test_commands_refuse_them_with_exit_code_2(tmp_path, trained, exported, refused, case):
    saved = checkpoint.load(trained["ckpt"])
    tensors = {name: value.asnumpy() for name, value in saved.weights.items()}
    bad = write(tmp_path / "bad.ckpt", described(tensors, as_json(changed(saved.info.to_dict(), case))))
    export = tmp_path / "net.onnx"
    export.write_bytes(exported.read_bytes())
    good = json.loads(exported.with_name(exported.name + ".meta.json").read_text())
    write_description(export, as_json(changed(good, case)))
    for path in (bad, export):
        line = refused(evaluation.main, "--data_dir", trained["data"], "--pretrained", path, "--platform", "CPU")
        assert ".".join(case.place) in line and str(path) in line


def test_a_description_too_large_to_be_one_is_not_read(model):
    path, good = model
    write_description(path, as_json(good) + " " * (64 << 20))
    assert "more than 64 MB" in refusal(describe, path)


def test_names_that_are_not_utf8_stay_what_they_are(tmp_path):
    info = ModelInfo(num_classes=1, class_names=("\udcba\udcda",))  # a folder named in GBK
    path = write(tmp_path / "a.ckpt", described({"a": np.zeros(1)}, json.dumps(info.to_dict())))
    assert describe(path) == checkpoint.load(path).info == info


def test_what_write_meta_writes_is_what_describe_reads(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"onnx")
    info = ModelInfo(**{key: value for key, value in DESCRIPTION.items() if key != "sha256"})
    write_meta(path, info)
    assert describe(path) == info and info.preprocessing.image_size == (16, 16)
    path.write_bytes(b"another")
    assert "damaged or replaced" in refusal(describe, path)
