"""Damaged images, descriptions and models: no crash, no hang, no memory error, and every failure named.

pytest tests/cpp/test_fuzz.py --fuzz_count 20000 tries more of them.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from image_files import bmps, others, saved, tiffs
from photos import photo
from PIL import Image
from test_ascend import write_model

pytestmark = pytest.mark.slow

SEED = 20
BATCH = 200  # files per process


def run(*command, seconds=120):
    return subprocess.run([str(word) for word in command], capture_output=True, check=False, timeout=seconds)


def damaged(random: np.random.Generator, content: bytes, other: bytes) -> bytes:
    """One random change: bytes, a cut, zeros, a repetition, a removal, the size in a header, or the end of another file."""
    data = bytearray(content)
    kind, at = random.integers(0, 8), int(random.integers(0, len(data)))
    length = int(random.integers(1, 1 + max(1, len(data) // 8)))
    if kind == 0:
        for position in random.integers(0, len(data), random.integers(1, 21)):
            data[position] = random.integers(0, 256)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif kind == 3:
        data[at:at] = data[at : at + length]
    elif kind == 4:
        del data[at : at + length]
    elif kind == 5:  # the markers that start a JPEG frame or the chunk that starts a PNG
        for marker, offset in ((b"\xff\xc0", 5), (b"\xff\xc2", 5), (b"IHDR", 4)):
            if (start := data.find(marker)) >= 0:
                data[start + offset + int(random.integers(0, 8))] = random.integers(0, 256)
    elif kind == 6:  # a number in a header: those of BMP, TIFF and WebP stand in front
        start = int(random.integers(0, min(len(data), 200)))
        data[start : start + 4] = random.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\0\0\1\0"])
    else:
        data[at:] = other[min(at, len(other)) :]
    return bytes(data)


@pytest.fixture(scope="module")
def count(request) -> int:
    return request.config.getoption("--fuzz_count")


def originals() -> list:
    """One file of every kind that is read."""
    files = {**bmps(), **tiffs(), **others()}
    image = Image.fromarray(photo(61, 43, 1))
    for number, (kind, mode, options) in enumerate((
        ("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True, "subsampling": 0}), ("JPEG", "CMYK", {}),
        ("JPEG", "L", {}), ("PNG", "RGB", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}), ("PNG", "1", {}),
    )):  # fmt: skip
        files[f"photo{number}"] = saved(image.convert(mode), kind, **options)
    return list(files.values())


def test_damaged_images(sanitized_programs, tmp_path, count):
    random = np.random.default_rng(SEED)
    (tmp_path / "data").mkdir()
    sources = originals()
    refused = 0
    for start in range(0, count, BATCH):
        paths = []
        for number in range(start, min(start + BATCH, count)):
            paths.append(tmp_path / "data" / f"{number}.jpg")
            content = sources[number % len(sources)]
            paths[-1].write_bytes(damaged(random, content, sources[random.integers(0, len(sources))]))
        for method in ("sampling", "averaging"):
            result = run(sanitized_programs / "crop_image", 24, 24, 27, "shorter", method, *paths)
            assert result.returncode == 0, result.stderr[-3000:]
            named = {line.partition(b": ")[0].decode() for line in result.stderr.splitlines()}
            assert named <= {str(path) for path in paths}, result.stderr[-3000:]
            assert len(result.stdout) == len(paths) + (len(paths) - len(named)) * 24 * 24 * 3
        refused += len(named)
    assert 0.2 * count < refused < 0.98 * count  # the changes are neither harmless nor all fatal

    model = write_model(tmp_path / "model.om", "uint8-float32", "gears=1,4")
    command = ["--model_path", model, "--dataset_path", tmp_path / "data", "--output", tmp_path / "out"]
    meta = json.loads(Path(f"{model}.meta.json").read_text())
    assert meta["preprocessing"]["antialias"] is False
    result = run(sanitized_programs / "infer_images", *command, seconds=120 + count / 50)
    assert result.returncode == 3 and result.stderr.count(b"\n") == 1, result.stderr[-3000:]
    failed = (tmp_path / "out/failed.txt").read_text().splitlines()
    assert len(failed) + len(list((tmp_path / "out/result_Files").iterdir())) == count


def test_damaged_descriptions(sanitized_programs, tmp_path, count):
    random = np.random.default_rng(SEED)
    (tmp_path / "data").mkdir()
    Image.fromarray(photo(20, 20, 1)).save(tmp_path / "data/a.png")
    model = write_model(tmp_path / "model.om", "uint8-float32", "batch=1")
    meta = Path(f"{model}.meta.json")
    good = meta.read_bytes()
    words = [b"null", b"-1", b"1e999", b"[]", b"{}", b'"x"', b"true", b"0", b"99999999999999999999", b"0.5", b"[[[[[[[["]
    refused = 0
    for number in range(max(20, count // 3)):
        if number % 2:
            content = damaged(random, good, bytes(reversed(good)))
        else:  # another value after a colon or inside a list
            starts = [i + 1 for i, c in enumerate(good) if c in b":["]
            at = int(random.choice(starts))
            end = at + len(good[at:].replace(b"]", b",").replace(b"}", b",").split(b",")[0])
            content = good[:at] + words[random.integers(0, len(words))] + good[end:]
        meta.write_bytes(content)
        result = run(
            sanitized_programs / "infer_images", "--model_path", model, "--dataset_path", tmp_path / "data",
            "--output", tmp_path / "out",
        )  # fmt: skip
        assert result.returncode in (0, 1, 2), (content, result.stderr[-3000:])
        assert result.stderr.count(b"\n") == (result.returncode != 0), (content, result.stderr[-3000:])
        refused += result.returncode != 0
    assert refused > 10


def test_damaged_label_files(sanitized_programs, tmp_path, count):
    random = np.random.default_rng(SEED)
    (tmp_path / "data").mkdir()
    for name in ("a.png", "b c.png"):
        Image.fromarray(photo(20, 20, 1)).save(tmp_path / "data" / name)
    model = write_model(tmp_path / "model.om", "uint8-float32", "batch=1")
    good = [
        b"\xef\xbb\xbfimage,label\r\na.png,1\r\n\"b c.png\",\"2\"\r\n", b"a.png 1\nb c.png 2\n", b"a.png\t1\nb c.png\t2\n",
        b'{"a.png": 1, "b c.png": 2}', b'{"a.png": 1, "b c.png": "2"}', b"name;label\na.png;4\nb c.png;0\n",
    ]  # fmt: skip
    refused = 0
    for number in range(max(24, count // 3)):
        content = good[number % len(good)]
        labels = tmp_path / ("labels.json" if content.startswith(b"{") else "labels.txt")
        labels.write_bytes(content if number < len(good) else damaged(random, content, b'[{"\0,,\t' * 99))
        result = run(
            sanitized_programs / "infer_images", "--model_path", model, "--dataset_path", tmp_path / "data",
            "--output", tmp_path / "out", "--label_file", labels,
        )  # fmt: skip
        expected = (0,) if number < len(good) else (0, 2)
        assert result.returncode in expected, (content, result.stderr[-3000:])
        assert result.stderr.count(b"\n") == (result.returncode != 0), (content, result.stderr[-3000:])
        refused += result.returncode != 0
    assert refused > 10


@pytest.mark.parametrize("ending", ["onnx", "mindir"])
def test_damaged_graphs_are_looked_through(sanitized_programs, exported, tmp_path, count, ending):
    """ONNX files serve for both: the walk believes neither. What passes it is not opened here."""
    random = np.random.default_rng(SEED)
    content = exported.read_bytes()
    paths = []
    for number in range(count):
        paths.append(tmp_path / f"{number}.{ending}")
        data = bytearray(damaged(random, content, content[::-1]))
        if number % 2:  # most of a network is numbers: change what describes them
            at = int(random.integers(0, min(len(data), 3000)))
            data[at] = random.integers(0, 256)
        paths[-1].write_bytes(data)
    refused = 0
    for start in range(0, count, BATCH):
        result = run(sanitized_programs / "check_models", *paths[start : start + BATCH])
        lines = result.stdout.splitlines()
        assert result.returncode == 0 and len(lines) == len(paths[start : start + BATCH]), result.stderr[-3000:]
        refused += sum(line != b"good" for line in lines)
    assert refused > count // 10


def test_truncated_models(infer_programs, exported, tmp_path, count):
    environment = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}
    random = np.random.default_rng(SEED)
    (tmp_path / "in").mkdir()
    np.zeros((3, 16, 16), np.float32).tofile(tmp_path / "in/a.bin")
    content, model = exported.read_bytes(), tmp_path / "cut.onnx"
    for end in [0, 1, 10, len(content) - 1, *random.integers(0, len(content), count // 30)]:
        model.write_bytes(content[:end])
        result = subprocess.run(
            [infer_programs / "infer_bin", "--model", model, "--input", tmp_path / "in", "--output", tmp_path / "out"],
            capture_output=True, check=False, timeout=120, env=environment,
        )  # fmt: skip
        assert result.returncode == 2 and result.stderr.startswith(b"error: "), (end, result.stderr)
        assert result.stderr.count(b"\n") == 1, result.stderr
