"""The C++ programs beside eval.py: same pixels, same logits, same counts."""

import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import PIL
import pytest
from mindspore.dataset import vision
from photos import photo, write_jpegs, write_pngs
from PIL import Image
from programs import ENVIRONMENT, infer_fixture, logits_of, reexported, refusal_fixture, run  # noqa: F401

import eval as evaluation
import export
from conftest import CLASSES, TINY
from src.data.pipeline import PillowCrop, eval_pipeline, read_batches
from src.data.sources.lists import index_unlabeled
from src.formats.onnx import open_onnx
from src.model_info import Preprocessing

pytestmark = pytest.mark.slow


def test_unit_tests(infer_programs):
    result = run("ctest", "--output-on-failure", cwd=infer_programs)
    assert result.returncode == 0, result.stdout


def crops_in_cpp(program: Path, preprocessing: Preprocessing, paths: list) -> list:
    height, width = preprocessing.image_size
    method = "averaging" if preprocessing.antialias else "sampling"
    settings = [height, width, preprocessing.resize, preprocessing.resize_mode, method]
    output = subprocess.run([str(program), *map(str, settings + paths)], stdout=subprocess.PIPE, check=True).stdout
    crops, size = [], 1 + height * width * 3
    assert len(output) == len(paths) * size, "a file was refused"
    for start in range(0, len(output), size):
        crops.append(np.frombuffer(output[start + 1 : start + size], np.uint8).reshape(height, width, 3))
    return crops


def crop_in_python(preprocessing: Preprocessing, path: Path) -> np.ndarray:
    encoded = np.fromfile(path, np.uint8)
    if preprocessing.antialias:
        return PillowCrop(preprocessing)(encoded)
    size = preprocessing.resize
    resize = vision.Resize(size if preprocessing.resize_mode == "shorter" else (size, size))
    return vision.CenterCrop(preprocessing.image_size)(resize(vision.Decode()(encoded)))


@pytest.mark.parametrize("antialias", [False, True], ids=["sampling", "averaging"])
@pytest.mark.parametrize("mode", ["shorter", "square"])
def test_crops_are_those_of_the_pipeline_byte_for_byte(infer_programs, tmp_path, mode, antialias):
    paths = write_jpegs(tmp_path / "jpeg") + write_pngs(tmp_path / "png")
    random = np.random.default_rng(5)
    for number, (width, height) in enumerate(random.integers(2, 400, (40, 2))):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(photo(width, height, number)).save(paths[-1], compress_level=1)
    if antialias and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("before Pillow 13 the order of the two passes was another one, which changes single values by 1")
    for size, resize in (((32, 32), 37), ((64, 48), 64), ((224, 224), 256)):
        preprocessing = Preprocessing(
            image_size=size, resize=resize, resize_mode=mode, antialias=antialias, mean=(0, 0, 0), std=(1, 1, 1)
        )
        for path, crop in zip(paths, crops_in_cpp(infer_programs / "crop_image", preprocessing, paths)):
            np.testing.assert_array_equal(crop, crop_in_python(preprocessing, path), err_msg=f"{path.name} {size}")


@pytest.mark.parametrize("antialias", [False, True], ids=["sampling", "averaging"])
def test_crops_that_are_not_square_byte_for_byte(infer_programs, tmp_path, antialias):
    """A pair of sizes: the smallest size with the image's shape that covers both, or with "square" the pair itself."""
    paths, sizes = [], [(140, 60), (60, 140), (33, 97), (500, 375), (64, 27), (27, 64), (1, 50), (301, 129)]
    for number, (width, height) in enumerate(sizes):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(photo(width, height, number)).save(paths[-1])
    if antialias and int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("before Pillow 13 the order of the two passes was another one, which changes single values by 1")
    method = "averaging" if antialias else "sampling"
    for mode in ("shorter", "square"):
        command = [infer_programs / "crop_image", 24, 56, "27x64", mode, method, *paths]
        output = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True).stdout
        crops = np.frombuffer(output, np.uint8).reshape(len(paths), -1)[:, 1:].reshape(-1, 24, 56, 3)
        for path, (width, height), crop in zip(paths, sizes, crops):
            scaled = (27, 27 * width // height) if 27 * width >= 64 * height else (64 * height // width, 64)
            scaled = scaled if mode == "shorter" else (27, 64)
            if antialias:
                image = Image.open(path).resize(scaled[::-1], Image.Resampling.BILINEAR)
                left, top = round((image.width - 56) / 2), round((image.height - 24) / 2)
                expected = np.asarray(image.crop((left, top, left + 56, top + 24)))
            else:
                expected = vision.CenterCrop((24, 56))(vision.Resize(scaled)(vision.Decode()(np.fromfile(path, np.uint8))))
            np.testing.assert_array_equal(crop, expected, err_msg=f"{path.name} {mode}")


@pytest.mark.parametrize("change", [{}, {"antialias": True}, {"resize_mode": "square"}], ids=["as is", "pillow", "square"])
def test_logits_and_counts_are_those_of_eval(infer, exported, trained, tmp_path, command, change):
    model = reexported(exported, tmp_path / "model", **change)
    data = trained["data"] / "val"
    result = infer(model, data, "--batch", 4)
    assert result.returncode == 0, result.stderr
    found = logits_of(tmp_path / "out")

    meta = json.loads(Path(f"{model}.meta.json").read_text())
    index = index_unlabeled(data)
    batches = read_batches(eval_pipeline(index, Preprocessing(**meta["preprocessing"]), 8, 1))
    classify = open_onnx(model)
    expected = np.concatenate([classify(images) for images, _ in batches])
    assert list(found) == sorted(f"{Path(name).stem}_0.bin" for name in index.files)
    for name, logits in zip(index.files, expected):
        np.testing.assert_allclose(found[f"{Path(name).stem}_0.bin"], logits, atol=1e-5 * np.abs(expected).max())

    code, _, _ = command(
        evaluation.main, "--data_dir", data, "--pretrained", model, "--platform", "CPU",
        "--result_json", tmp_path / "eval.json", "--cache_dir", tmp_path / "cache",
    )  # fmt: skip
    counts = json.loads((tmp_path / "eval.json").read_text())
    line = f"Total data: {counts['images']}, top1 accuracy: {counts['top1']:.5f}, top5 accuracy: {counts['top5']:.5f}."
    assert code == 0 and (tmp_path / "out/acc.log").read_text() == line + "\n" and line in result.stdout


def test_batch_and_threads_take_effect(infer, exported, trained, tmp_path):
    data = trained["data"] / "val"
    results = {}
    for name, flags in {"one": [], "five": ["--batch", 5, "--threads", 1]}.items():
        result = infer(exported, data, *flags, output=tmp_path / name)
        assert result.returncode == 0, result.stderr
        results[name] = np.stack(list(logits_of(tmp_path / name).values())), result.stdout
    assert "(batch of 5)" in results["five"][1] and "1 threads" in results["five"][1]
    np.testing.assert_allclose(results["five"][0], results["one"][0], atol=1e-5)


def test_bf16_takes_effect_where_the_processor_has_it(infer_programs, infer, exported, trained, tmp_path):
    data = trained["data"] / "val"
    command = ["--model_path", exported, "--dataset_path", data, "--output", tmp_path / "no", "--precision", "bf16"]
    older = run(infer_programs / "infer_images", *command, env={**ENVIRONMENT, "ONEDNN_MAX_CPU_ISA": "AVX2"})
    assert older.returncode == 2 and "leave --precision out" in older.stderr and older.stderr.count("\n") == 1
    if "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no bf16 arithmetic")
    full, half = infer(exported, data), infer(exported, data, "--precision", "bf16", output=tmp_path / "half")
    assert full.returncode == 0 and half.returncode == 0 and "OpenVINO, bf16" in half.stdout, half.stderr
    full, half = (np.stack(list(logits_of(tmp_path / name).values())) for name in ("out", "half"))
    assert 1e-4 < np.abs(full - half).max() < 0.1 * np.abs(full).max()


def test_timing_file_and_screen(infer, exported, trained, tmp_path):
    result = infer(exported, trained["data"] / "val", "--batch", 4)
    assert "images: 33, failed: 0\n" in result.stdout
    assert re.search(r"throughput: [\d.]+ img/s\nlatency \(batch of 4\): median [\d.]+ ms, p90", result.stdout)
    text = (tmp_path / "out/time_Result/test_perform_static.txt").read_text()
    # 33 images in batches of 4: the warm-up is not among the 9 calls.
    assert re.match(r"NN inference cost average time: [\d.]+ ms of infer_count 9\nbatch: 4\nimages: 33\n", text)


def test_text_and_json_results(infer, exported, trained, tmp_path):
    data = trained["data"] / "val"
    for form in ("BIN", "TXT", "JSON"):
        assert infer(exported, data, "--outfmt", form, output=tmp_path / form).returncode == 0
    assert infer(exported, data, "--outfmt", "JSON", "--topk", 2, output=tmp_path / "two").returncode == 0
    for name, logits in logits_of(tmp_path / "BIN").items():
        stem = Path(name).stem
        text = (tmp_path / "TXT/result_Files" / f"{stem}.txt").read_text()
        assert text.endswith(" \n") and text.count("\n") == 1
        np.testing.assert_allclose(np.array(text.split(), float), logits, atol=1e-6)
        answer = json.loads((tmp_path / "JSON/result_Files" / f"{stem}.json").read_text())
        order = np.argsort(-logits)
        probabilities = np.exp(logits[order].astype(float)) / np.exp(logits.astype(float)).sum()
        assert answer["image"].endswith(".jpg") or answer["image"].endswith(".PNG")
        assert [p["index"] for p in answer["predictions"]] == order.tolist()
        assert [p["class"] for p in answer["predictions"]] == [CLASSES[i] for i in order]
        np.testing.assert_allclose([p["probability"] for p in answer["predictions"]], probabilities, rtol=1e-5)
        assert len(json.loads((tmp_path / "two/result_Files" / f"{stem}.json").read_text())["predictions"]) == 2


def test_equal_stems_do_not_collide(infer, exported, tmp_path):
    for name in ("red/a.jpg", "green/a.jpg", "green/deep/b.png", "blue/c.jpg", "blue/c.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(30, 20, len(name))).save(tmp_path / "data" / name)
    assert infer(exported, tmp_path / "data").returncode == 0
    assert list(logits_of(tmp_path / "out")) == [
        "b_0.bin", "blue__c.jpg_0.bin", "blue__c.png_0.bin", "green__a_0.bin", "red__a_0.bin",
    ]  # fmt: skip


def test_label_file_and_folders_that_are_no_classes(infer, refusal, exported, tmp_path):
    data, labels = tmp_path / "flat", tmp_path / "labels.txt"
    data.mkdir()
    for i in range(3):
        Image.fromarray(photo(30, 20, i)).save(data / f"{i}.jpg")
    result = infer(exported, data)
    assert result.returncode == 0 and "no accuracy: the images are not in class folders; pass --label_file" in result.stdout
    assert not (tmp_path / "out/acc.log").exists()
    labels.write_text("0.jpg blue\n1.jpg green\n2.jpg red\n")
    assert "Total data: 3," in infer(exported, data, "--label_file", labels).stdout
    labels.write_text("0.jpg 0\n1.jpg 1\n2.jpg red\n")  # numbers or names, not both: as eval.py says
    assert "has the label '0', which is none of the network's 3 classes" in refusal(exported, data, "--label_file", labels)
    labels.write_text("0.jpg 0\n1.jpg 3\n2.jpg 1\n")
    assert "has the label '3', which is none of the network's 3 classes" in refusal(exported, data, "--label_file", labels)


def test_the_help_names_flags_and_backends(infer_programs):
    result = run(infer_programs / "infer_images", "--help")
    assert result.returncode == 0 and "--precision" in result.stdout and ".onnx    OpenVINO: built in" in result.stdout


def test_memory_does_not_grow_with_the_number_of_images(infer_programs, exported, tmp_path):
    peaks = []
    Image.fromarray(photo(64, 64, 0)).save(tmp_path / "photo.jpg")
    for count in (200, 4000):
        data = tmp_path / str(count)
        data.mkdir()
        for i in range(count):
            os.link(tmp_path / "photo.jpg", data / f"{i}.jpg")
        command = ["--model_path", exported, "--dataset_path", data, "--output", tmp_path / "out", "--threads", "2"]
        process = subprocess.Popen([str(infer_programs / "infer_images"), *map(str, command)], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss / 1024)
    assert peaks[1] - peaks[0] < 12, f"peak memory in MB: {peaks}"


def test_bin_runner_gives_the_same_logits_named_as_ais_bench_does(infer_programs, exported, trained, tmp_path):
    meta = json.loads(Path(f"{exported}.meta.json").read_text())
    index = index_unlabeled(trained["data"] / "val")
    images = np.concatenate(
        [images for images, _ in read_batches(eval_pipeline(index, Preprocessing(**meta["preprocessing"]), 8, 1))]
    )
    inputs = tmp_path / "in"
    inputs.mkdir()
    for name, image in zip(index.files, images):
        image.tofile(inputs / f"{Path(name).stem}.x.bin")
    expected = dict(zip((Path(name).stem for name in index.files), open_onnx(exported)(images)))
    program, out = infer_programs / "infer_bin", tmp_path / "out"
    common = ["--model", exported, "--input", inputs, "--output", out]
    for form, folder in (("BIN", "b"), ("TXT", "t")):
        result = run(program, *common, "--output_dirname", folder, "--outfmt", form, "--batchsize", 8)
        assert result.returncode == 0 and "files: 33" in result.stdout, result.stderr
    for stem, logits in expected.items():
        np.testing.assert_allclose(np.fromfile(out / "b" / f"{stem}_0.bin", np.float32), logits, atol=1e-5)
        np.testing.assert_allclose(np.loadtxt(out / "t" / f"{stem}_0.txt"), logits, atol=2e-6 + 1e-5)
    summary = json.loads((out / "b_summary.json").read_text())
    assert len(summary["filesinfo"]) == 33 and summary["NPU_compute_time"]["median"] > 0 and summary["throughput"] > 0
    assert run(program, *common).returncode == 0 and len(list(out.iterdir())) == 6  # the third folder is named by the time

    result = run(program, "--model", exported, "--input", inputs, "--output", tmp_path, "--output_dirname", "in")
    assert result.returncode == 2 and "holds inputs, which results could overwrite; name another" in result.stderr
    assert len(list(inputs.iterdir())) == 33

    (inputs / "short.bin").write_bytes(b"1234")
    result = run(program, *common, "--output_dirname", "b")
    assert result.returncode == 2 and result.stderr.endswith("short.bin: has 4 bytes; expected 3072, one image\n")


def test_tiny_names_the_network_of_the_fixture():
    assert TINY[TINY.index("--image_size") + 1] == "16,16"  # the sizes above rely on it


def test_an_8_bit_export_is_run_as_onnx_runtime_does(infer, trained, tmp_path, command):
    model, data = tmp_path / "small.onnx", trained["data"] / "val"
    code, _, err = command(
        export.main, "--ckpt_file", trained["ckpt"], "--file_format", "ONNX", "--file_name", model, *TINY,
        "--quantize", "int8", "--calibration_dir", trained["data"] / "train", "--cache_dir", tmp_path / "cache",
    )  # fmt: skip
    assert code == 0, err
    result = infer(model, data)
    assert result.returncode == 0 and "Total data: 33, top1 accuracy: 1.0" in result.stdout, result.stderr


def test_a_description_is_understood_as_python_wrote_it(infer_programs, exported):
    result = run(infer_programs / "describe_model", exported)
    assert result.returncode == 0, result.stderr
    found = dict(line.split(":", 1) for line in result.stdout.splitlines())
    meta = json.loads(Path(f"{exported}.meta.json").read_text())
    for field in ("file_format", "backbone", "num_classes", "class_names", "batch_sizes"):
        value = meta.get(field, [])
        assert found[field].split() == [str(item) for item in (value if isinstance(value, list) else [value])], field
    for side in ("input", "output"):
        assert found[f"{side}.name"].split() == [meta[side]["name"]] and found[f"{side}.dtype"] == " float32"
        assert found[f"{side}.shape"].split() == [str(size).replace("N", "0") for size in meta[side]["shape"]]
    preprocessing = meta["preprocessing"]
    for field in ("image_size", "resize", "resize_mode", "antialias"):
        value = preprocessing[field]
        assert found[field].split() == [str(item) for item in (value if isinstance(value, list) else [value])], field
    for field in ("mean", "std"):
        np.testing.assert_allclose(np.array(found[field].split(), float), preprocessing[field], rtol=1e-6)
