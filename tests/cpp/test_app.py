"""The C++ programs beside eval.py: same pixels, same logits, same counts; and what they say when something is wrong."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
import PIL
import pytest
from mindspore.dataset import vision
from photos import photo, write_jpegs, write_pngs
from PIL import Image

import eval as evaluation
from conftest import CLASSES, TINY
from src.data.index import index_unlabelled
from src.data.pipeline import PillowCrop, eval_pipeline, read_batches
from src.data.preprocessing import Preprocessing
from src.evaluation.classifiers import open_onnx
from src.meta import file_digest

pytestmark = pytest.mark.slow


# src/device.py holds oneDNN to AVX2 for MindSpore's sake; OpenVINO could not compute in bf16 then.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}


def run(program, *arguments, env=ENVIRONMENT, **options):
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, text=True, env=env, **options)


@pytest.fixture
def infer(infer_programs, tmp_path):
    """Runs infer_images with its results in a folder of the test."""

    def start(model, data, *arguments, output=tmp_path / "out"):
        return run(
            infer_programs / "infer_images", "--model_path", model, "--dataset_path", data, "--output", output, *arguments
        )

    return start


@pytest.fixture
def refusal(infer):
    """Runs infer_images, which must fail with exactly one line on stderr, and returns that line."""

    def start(*arguments, code: int = 2, **options) -> str:
        result = infer(*arguments, **options)
        assert result.returncode == code, result.stderr
        assert re.fullmatch(r"error: .*\n", result.stderr), result.stderr
        return result.stderr

    return start


def logits_of(folder: Path) -> dict:
    return {path.name: np.fromfile(path, np.float32) for path in sorted((folder / "result_Files").glob("*.bin"))}


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
        preprocessing = Preprocessing(size, resize, mode, antialias, (0, 0, 0), (1, 1, 1))
        for path, crop in zip(paths, crops_in_cpp(infer_programs / "crop_image", preprocessing, paths)):
            np.testing.assert_array_equal(crop, crop_in_python(preprocessing, path), err_msg=f"{path.name} {size}")


def reexported(model: Path, folder: Path, **preprocessing) -> Path:
    """A copy of an export whose preprocessing was changed."""
    folder.mkdir()
    copy = Path(shutil.copy(model, folder))
    meta = json.loads(Path(f"{model}.meta.json").read_text())
    meta["preprocessing"].update(preprocessing)
    Path(f"{copy}.meta.json").write_text(json.dumps(meta))
    return copy


@pytest.mark.parametrize("change", [{}, {"antialias": True}, {"resize_mode": "square"}], ids=["as is", "pillow", "square"])
def test_logits_and_counts_are_those_of_eval(infer, exported, trained, tmp_path, command, change):
    model = reexported(exported, tmp_path / "model", **change)
    data = trained["data"] / "val"
    result = infer(model, data, "--batch", 4)
    assert result.returncode == 0, result.stderr
    found = logits_of(tmp_path / "out")

    meta = json.loads(Path(f"{model}.meta.json").read_text())
    index = index_unlabelled(data)
    batches = read_batches(eval_pipeline(index, Preprocessing.from_dict(meta["preprocessing"]), 8, 1))
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
    labels.write_text("0.jpg 0\n1.jpg 1\n2.jpg red\n")
    assert "Total data: 3," in infer(exported, data, "--label_file", labels).stdout
    labels.write_text("0.jpg 0\n1.jpg 3\n2.jpg 1\n")
    assert "has the label '3', which is none of the network's 3 classes" in refusal(exported, data, "--label_file", labels)


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


def test_the_help_names_flags_and_backends(infer_programs):
    result = run(infer_programs / "infer_images", "--help")
    assert result.returncode == 0 and "--precision" in result.stdout and ".onnx    OpenVINO: built in" in result.stdout


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
    index = index_unlabelled(trained["data"] / "val")
    images = np.concatenate(
        [images for images, _ in read_batches(eval_pipeline(index, Preprocessing.from_dict(meta["preprocessing"]), 8, 1))]
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
