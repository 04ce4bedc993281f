"""Odd image files through the C++ decoders: Pillow's pixels, and refusals with a reason."""

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from image_files import bmps, others, pictures, refused, tiff, tiffs
from odd_images import odd_images
from PIL import Image

from src.data.image_formats import ImageError, decode

pytestmark = pytest.mark.slow


def decoded(programs: Path, folder: Path, files: dict) -> dict:
    """Name -> pixels (H, W, 3), or the reason of a refusal."""
    folder.mkdir()
    paths = []
    for name, content in files.items():
        paths.append(folder / f"{name.replace('/', '_')}.jpg")
        paths[-1].write_bytes(content)
    command = [programs / "decode_image", *paths]
    stream = io.BytesIO(subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, check=True).stdout)
    results = {}
    for name in files:
        line = stream.readline().decode()
        if line != "P6\n":
            assert line.startswith("refused: "), line
            results[name] = line[len("refused: ") : -1]
            continue
        width, height = map(int, stream.readline().split())
        assert stream.readline() == b"255\n"
        results[name] = np.frombuffer(stream.read(width * height * 3), np.uint8).reshape(height, width, 3)
    assert not stream.read()
    return results


def test_pixels_are_those_of_pillow(infer_programs, tmp_path):
    files = {**bmps(), **tiffs(), **others()}
    assert len(files) > 90
    different = {}
    for name, found in decoded(infer_programs, tmp_path / "in", files).items():
        expected = np.asarray(decode(files[name]))
        if isinstance(found, str) or found.shape != expected.shape or (found != expected).any():
            different[name] = found if isinstance(found, str) else found.shape
    assert not different


def test_orientation_is_ignored(infer_programs, tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    rgb = pictures()["RGB"]
    files = {}
    for kind in ("JPEG", "PNG", "WEBP"):
        for name, options in (("plain", {}), ("turned", {"exif": exif})):
            buffer = io.BytesIO()
            rgb.save(buffer, kind, **options)
            files[f"{kind}_{name}"] = buffer.getvalue()
    files["TIFF_plain"], files["TIFF_turned"] = tiff(rgb), tiff(rgb, t274=6)
    results = decoded(infer_programs, tmp_path / "in", files)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        np.testing.assert_array_equal(results[f"{kind}_turned"], results[f"{kind}_plain"])


def test_what_is_not_promised_is_refused_with_its_reason(infer_programs, tmp_path):
    files = refused()
    results = decoded(infer_programs, tmp_path / "in", {name: content for name, (content, _) in files.items()})
    for name, (_, reason) in files.items():
        assert isinstance(results[name], str) and reason in results[name], (name, results[name])


def test_the_verdict_and_the_pixels_are_those_of_python(infer_programs, tmp_path):
    """Over the files that Python's readers are held to."""
    files = {odd.name: odd.content for odd in odd_images()}
    different = {}
    for name, found in decoded(infer_programs, tmp_path / "in", files).items():
        try:
            expected = np.asarray(decode(files[name]))
        except ImageError as error:
            expected = str(error)
        same = isinstance(found, str) == isinstance(expected, str)
        if not same or not (isinstance(found, str) or np.array_equal(found, expected)):
            different[name] = found, expected
    assert not different
