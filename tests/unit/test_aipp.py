"""The AIPP file, computed by a small reference of AIPP, gives what Python's preprocessing gives."""

import re

import numpy as np
import pytest
from PIL import Image

from conftest import write_image
from src.config import build_config
from src.data.pipeline import eval_pipeline, pixel_pipeline, read_batches
from src.data.preprocessing import preprocessing_from
from src.data.sources.lists import index_unlabeled
from src.errors import UserError
from src.formats.aipp import aipp_config, input_of, pixel_shape, to_yuv420sp

CONFIG = {"image_size": "32,48", "mean": "0.5,0.4,0.3", "std": "0.2,0.25,0.3"}


def parse(text: str) -> dict:
    assert re.fullmatch(r"aipp_op \{\n(  \w+: \S+\n)+\}\n", text)
    return dict(re.findall(r"  (\w+): (\S+)\n", text))


def aipp(values: dict, pixels: np.ndarray) -> np.ndarray:
    """What CANN's manual says AIPP does: pixels uint8 (H, W, 3), RGB or YUV -> float32 (3, H, W)."""
    if values["csc_switch"] == "true":
        matrix = np.array([[int(values[f"matrix_r{r}c{c}"]) for c in range(3)] for r in range(3)])
        bias = np.array([int(values[f"input_bias_{c}"]) for c in range(3)])
        pixels = ((pixels.astype(np.int64) - bias) @ matrix.T >> 8).clip(0, 255)
    mean, minimum, factor = (
        np.array([float(values[f"{name}_{c}"]) for c in range(3)]) for name in ("mean_chn", "min_chn", "var_reci_chn")
    )
    return ((pixels - mean - minimum) * factor).astype(np.float32).transpose(2, 0, 1)


def unpack(nv12: np.ndarray) -> np.ndarray:
    """YUV420SP uint8 (H * 3 / 2, W) -> YUV uint8 (H, W, 3); U comes before V."""
    height, width = len(nv12) * 2 // 3, nv12.shape[1]
    chroma = nv12[height:].reshape(height // 2, width // 2, 2).repeat(2, 0).repeat(2, 1)
    return np.concatenate([nv12[:height, :, None], chroma], 2)


def in_gray_levels(difference: np.ndarray, preprocessing) -> np.ndarray:
    return np.abs(difference) * 255 * np.array(preprocessing.std)[:, None, None]


@pytest.fixture
def batches(tmp_path):
    """Preprocessing, and an image as uint8 (H, W, 3) and as Python's preprocessing leaves it, float32 (3, H, W)."""
    preprocessing = preprocessing_from(build_config(CONFIG))
    index = index_unlabeled(write_image(tmp_path / "a.png", 1, 3, size=(90, 70)))
    (pixels, _), (images, _) = (
        next(iter(read_batches(pipeline(index, preprocessing, 1, 1)))) for pipeline in (pixel_pipeline, eval_pipeline)
    )
    return preprocessing, pixels[0], images[0]


def test_rgb_is_normalized_as_in_python(batches):
    preprocessing, pixels, image = batches
    values = parse(aipp_config(preprocessing, "rgb"))
    assert (values["input_format"], values["src_image_size_w"], values["src_image_size_h"]) == ("RGB888_U8", "48", "32")
    assert pixels.shape == pixel_shape("rgb", (32, 48)) == (32, 48, 3)
    assert in_gray_levels(aipp(values, pixels) - image, preprocessing).max() < 0.01


def test_yuv_is_converted_as_a_jpeg_decoder_does(batches):
    preprocessing, _, _ = batches
    values = parse(aipp_config(preprocessing, "yuv420sp"))
    assert values["input_format"] == "YUV420SP_U8"
    yuv = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    rgb = np.asarray(Image.fromarray(yuv, "YCbCr").convert("RGB"))
    expected = aipp({**values, "csc_switch": "false"}, rgb)
    assert in_gray_levels(aipp(values, yuv) - expected, preprocessing).max() < 1.01


def test_the_yuv_of_an_image_comes_back_as_the_image(batches):
    preprocessing, pixels, _ = batches
    values = parse(aipp_config(preprocessing, "yuv420sp"))
    blocks = pixels[::2, ::2].repeat(2, 0).repeat(2, 1)  # 2x2 pixels share their color in this format
    nv12 = to_yuv420sp(blocks[None])[0]
    assert nv12.shape == pixel_shape("yuv420sp", (32, 48)) == (48, 48) and nv12.dtype == np.uint8
    expected = aipp({**values, "csc_switch": "false"}, blocks)
    difference = in_gray_levels(aipp(values, unpack(nv12)) - expected, preprocessing)
    assert difference.mean() < 1 and difference.max() < 3  # Y, U, V and the result are rounded
    colors = np.asarray(Image.fromarray(blocks).convert("YCbCr"))
    assert np.abs(unpack(nv12).astype(int) - colors).max() <= 1


def test_yuv_of_an_odd_size_is_refused():
    with pytest.raises(UserError, match="yuv420sp needs an even height and width"):
        aipp_config(preprocessing_from(build_config({"image_size": "33,48"})), "yuv420sp")


def test_gray_bytes_are_normalized_as_in_python(tmp_path):
    preprocessing = preprocessing_from(build_config({**CONFIG, "in_channels": 1}))
    index = index_unlabeled(write_image(tmp_path / "a.png", 1, 3, size=(90, 70)))
    (pixels, _), (images, _) = (
        next(iter(read_batches(pipeline(index, preprocessing, 1, 1)))) for pipeline in (pixel_pipeline, eval_pipeline)
    )
    values = parse(aipp_config(preprocessing, "rgb"))
    assert values["input_format"] == "YUV400_U8" and not any(key.endswith(("_1", "_2")) for key in values)
    assert pixels[0].shape == pixel_shape("rgb", (32, 48), 1) == (32, 48, 1)
    computed = (pixels[0] - float(values["mean_chn_0"]) - float(values["min_chn_0"])) * float(values["var_reci_chn_0"])
    assert in_gray_levels(computed.transpose(2, 0, 1) - images[0], preprocessing).max() < 0.01
    described = input_of("rgb", (32, 48), 1)
    assert described.shape == ("N", 32, 48, 1) and described.format == "YUV400_U8"
    with pytest.raises(UserError, match="aipp: yuv420sp holds colors, but in_channels is 1"):
        aipp_config(preprocessing, "yuv420sp")
