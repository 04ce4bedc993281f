"""OM files in Python against a stand-in for CANN's module acl: counts, batches, AIPP, failures, and what is released."""

import gc
import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from pyacl import Device, make

import eval as evaluation
from conftest import CLASSES
from src.formats.aipp import to_pixels
from src.formats.ascendcl import open_om
from src.formats.onnx import open_onnx
from src.model_info import Preprocessing, describe


@pytest.fixture
def device(monkeypatch):
    """An Ascend device whose `acl` can be imported; all that was made on it must be released in the end."""
    device = Device()
    monkeypatch.setitem(sys.modules, "acl", make(device))
    yield device
    device.fails = ""
    gc.collect()
    assert not device.left()


@pytest.fixture
def om(exported, tmp_path):
    """Writes an OM for the stand-in, with its description; returns its path."""

    def write(described: bool = True, **spec) -> Path:
        meta = json.loads(Path(f"{exported}.meta.json").read_text())
        path = tmp_path / "net.om"
        kind = spec.setdefault("kind", "none")
        numbers = {name: meta["preprocessing"][name] for name in ("mean", "std")}
        path.write_text(json.dumps({"onnx": str(exported), **numbers, **spec}))
        if described:
            formats = {"rgb": "RGB888_U8", "yuv420sp": "YUV420SP_U8"}
            shape = {"none": ["N", 3, 16, 16], "rgb": ["N", 16, 16, 3], "yuv420sp": ["N", 24, 16]}[kind]
            meta["input"] = {"shape": shape, "dtype": "float32" if kind == "none" else "uint8"}
            meta["input"].update({"format": formats[kind]} if kind in formats else {})
            meta.update(file_format="OM", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
            Path(f"{path}.meta.json").write_text(json.dumps(meta))
        return path

    return write


@pytest.fixture(scope="module")
def images(exported) -> np.ndarray:
    """11 normalized images that stem from pixels, 2x2 of each color, float32 (11, 3, 16, 16)."""
    preprocessing = describe(exported).preprocessing
    pixels = np.random.default_rng(1).integers(0, 256, (11, 8, 8, 3)).repeat(2, 1).repeat(2, 2)
    normalized = ((pixels / 255 - preprocessing.mean) / preprocessing.std).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(normalized, np.float32)


def test_pixels_are_computed_back_exactly():
    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    for mean, std in (((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0, 0, 0), (1, 1, 1)), ((0.5,) * 3, (0.001,) * 3)):
        preprocessing = Preprocessing(
            image_size=(16, 16), resize=18, resize_mode="shorter", antialias=False, mean=mean, std=std
        )
        normalized = ((values.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)).transpose(0, 3, 1, 2)
        pixels = to_pixels(np.ascontiguousarray(normalized, np.float32), preprocessing)
        assert pixels.flags.c_contiguous
        np.testing.assert_array_equal(pixels, values)


@pytest.mark.parametrize(
    ("spec", "batches"),
    [
        ({"batch": 1}, [1] * 11),
        ({"batch": 4}, [4, 4, 4]),
        ({"gears": [8, 1, 2]}, [8, 8]),  # 3 images are left: the smallest gear that holds them
        ({"gears": [1, 3, 8], "kind": "rgb"}, [8, 3]),
        ({"batch": 8, "kind": "rgb", "half": True}, [8, 8]),
        ({"gears": [2, 16], "kind": "yuv420sp"}, [16]),
    ],
)
def test_logits_of_every_kind_of_file(device, om, exported, images, spec, batches):
    classify = open_om(om(**spec), describe(exported).preprocessing, 0)
    expected = open_onnx(exported)(images)
    found = classify(images)
    assert device.batches == batches and found.shape == (11, len(CLASSES)) and found.dtype == np.float32
    if spec.get("kind") == "yuv420sp":  # Y, U and V are whole numbers
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    else:
        np.testing.assert_allclose(found, expected, atol=2e-2 if spec.get("half") else 1e-5)
    np.testing.assert_array_equal(classify(images[:2]), classify(images)[:2])


def test_eval_counts_as_with_the_onnx_file(device, om, exported, trained, tmp_path, command):
    results = {}
    for name, model in (("onnx", exported), ("om", om(kind="rgb", gears=[1, 4]))):
        code, _, err = command(
            evaluation.main, "--data_dir", trained["data"] / "val", "--pretrained", model, "--platform", "CPU",
            "--result_json", tmp_path / f"{name}.json", "--cache_dir", tmp_path / "cache", "--eval_batch_size", "7",
        )  # fmt: skip
        assert code == 0, err
        results[name] = json.loads((tmp_path / f"{name}.json").read_text())
    for key in ("images", "top1_correct", "top5_correct"):
        assert results["om"][key] == results["onnx"][key]
    folder = trained["data"] / "val/red"
    code, out, err = command(evaluation.main, "--predict", folder, "--pretrained", tmp_path / "net.om", "--platform", "CPU",
                             "--cache_dir", tmp_path / "cache")  # fmt: skip
    assert code == 0 and out.count("red") > len(list(folder.iterdir())), err  # in the paths and as the classes


def test_two_files_at_once(device, om, exported, images, tmp_path):
    preprocessing = describe(exported).preprocessing
    first = open_om(Path(shutil.copy(om(batch=2), tmp_path / "other.om")), preprocessing, 0)
    second = open_om(om(batch=4, kind="rgb"), preprocessing, 0)
    np.testing.assert_allclose(first(images), second(images), atol=1e-5)


CALLS = [
    "init", "set_device", "create_context", "load_from_file", "get_desc", "get_input_dims", "get_dynamic_batch",
    "get_input_index_by_name", "malloc", "add_dataset_buffer", "get_output_dims", "get_run_mode", "set_context", "memcpy",
    "set_dynamic_batch_size", "execute",
]  # fmt: skip


def test_every_failing_call_is_one_line_and_releases_everything(device, om, trained, tmp_path, refused):
    model = om(gears=[1, 4])
    for call in CALLS:
        device.fails = call
        line = refused(
            evaluation.main, "--data_dir", trained["data"] / "val", "--pretrained", model, "--platform", "CPU",
            "--cache_dir", tmp_path / "cache",
        )  # fmt: skip
        assert f"{call} failed with 507000: EE9999: {call} was told to fail; 'npu-smi info'" in line, line
        device.fails = ""
        gc.collect()
        assert not device.left(), call


def test_what_does_not_fit_is_one_line(device, om, trained, tmp_path, refused, monkeypatch):
    def refusal(model, *arguments) -> str:
        data = ["--data_dir", trained["data"] / "val", "--cache_dir", tmp_path / "cache", "--platform", "CPU"]
        return refused(evaluation.main, *data, "--pretrained", model, *arguments)

    assert "acl.rt.set_device failed with 107001" in refusal(om(batch=1), "--device_id", "5")
    assert "takes 3072 bytes of float32 for 1 images, which are none of image_size 32,32" in refusal(
        om(batch=1), "--image_size", "32,32"
    )
    assert "num_classes: 4 was asked for" in refusal(om(batch=1), "--num_classes", "4")
    model = om(batch=1, kind="rgb")
    meta = Path(f"{model}.meta.json")
    meta.write_text(meta.read_text().replace("RGB888_U8", "YUV420SP_U8"))
    assert "takes another input than its description says, YUV420SP_U8" in refusal(model)
    model = om(batch=1)
    model.write_text("no model")
    assert "damaged or replaced: its checksum" in refusal(model)
    Path(f"{model}.meta.json").unlink()
    damaged = refusal(model, "--num_classes", "3", "--image_size", "16,16")
    assert "acl.mdl.load_from_file failed with 145003: EE1001: the model file is damaged" in damaged
    monkeypatch.setitem(sys.modules, "acl", None)
    assert "needs AscendCL's Python interface, the module acl of CANN" in refusal(om(batch=1))
    assert "source /usr/local/Ascend/ascend-toolkit/set_env.sh" in refusal(om(batch=1))
