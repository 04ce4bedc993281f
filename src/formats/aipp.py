"""AIPP: the part of an OM that turns 8-bit pixels into the network's float input on the Ascend processor.

AIPP computes, in this order: conversion of YUV to RGB (matrix / 256, clipped to 0..255), then
(pixel - mean_chn - min_chn) * var_reci_chn. `mean_chn` is an integer, so the mean stands in `min_chn`. Source: CANN's ATC
manual, chapter "AIPP configuration".
"""

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..model_info import Preprocessing, TensorInfo

FORMATS = {"rgb": "RGB888_U8", "yuv420sp": "YUV420SP_U8"}
GRAY_FORMAT = "YUV400_U8"  # of the kind "rgb" for networks that take gray images

# JPEG's YUV (ITU-R BT.601, full range; JFIF 1.02) to RGB in 1/256:
# R = Y + 1.402 (V-128), G = Y - 0.344 (U-128) - 0.714 (V-128), B = Y + 1.772 (U-128)
_MATRIX = ((256, 0, 359), (256, -88, -183), (256, 454, 0))
_BIAS = (0, 128, 128)


def aipp_config(preprocessing: Preprocessing, kind: str) -> str:
    """The AIPP file for images that are resized and cropped already, of `kind` "rgb" or "yuv420sp".

    Raises:
        UserError: YUV420SP of an odd height or width.
    """
    height, width = preprocessing.image_size
    image = input_of(kind, (height, width), preprocessing.channels)  # refuses odd sizes
    lines = [
        "aipp_mode: static",
        f"input_format: {image.format}",
        f"src_image_size_w: {width}",
        f"src_image_size_h: {height}",
        "crop: false",
        f"csc_switch: {'true' if kind == 'yuv420sp' else 'false'}",
        "rbuv_swap_switch: false",
    ]
    if kind == "yuv420sp":
        lines += [f"matrix_r{row}c{column}: {_MATRIX[row][column]}" for row in range(3) for column in range(3)]
        lines += [f"input_bias_{channel}: {bias}" for channel, bias in enumerate(_BIAS)]
    lines += [f"mean_chn_{channel}: 0" for channel in range(preprocessing.channels)]
    lines += [f"min_chn_{channel}: {255 * mean:.7g}" for channel, mean in enumerate(preprocessing.mean)]
    lines += [f"var_reci_chn_{channel}: {1 / (255 * std):.9g}" for channel, std in enumerate(preprocessing.std)]
    return "aipp_op {\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


def input_of(kind: str, image_size: tuple[int, int], channels: int = 3) -> TensorInfo:
    """The input of a file, for its description; `kind` is "none" (normalized float32), "rgb" or "yuv420sp"."""
    if kind == "none":
        return TensorInfo(name="input", shape=("N", channels, *image_size), dtype="float32")
    is_gray = kind == "rgb" and channels == 1
    layout = GRAY_FORMAT if is_gray else FORMATS[kind]
    return TensorInfo(name="input", shape=("N", *pixel_shape(kind, image_size, channels)), dtype="uint8", format=layout)


def pixel_shape(kind: str, image_size: tuple[int, int], channels: int = 3) -> tuple[int, ...]:
    """Shape of one uint8 image: rgb (H, W, 3), or gray (H, W, 1); yuv420sp (H * 3 / 2, W), Y's rows, then those of UV.

    Raises:
        UserError: yuv420sp of an odd height or width, or of gray images.
    """
    height, width = image_size
    if kind == "rgb":
        return height, width, channels
    if channels == 1:
        raise UserError("aipp: yuv420sp holds colors, but in_channels is 1; pass --aipp rgb, which is 8-bit gray then")
    if height % 2 or width % 2:
        raise UserError(f"aipp: yuv420sp needs an even height and width, image_size is {height},{width}; pass --aipp rgb")
    return height * 3 // 2, width


def to_pixels(images: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Normalized images, float32 (N, C, H, W) -> the pixels that they were made of, uint8 RGB or gray (N, H, W, C)."""
    mean, std = (np.array(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    pixels = np.rint((images.transpose(0, 2, 3, 1) * std + mean) * 255).clip(0, 255)
    return np.ascontiguousarray(pixels, np.uint8)


def to_yuv420sp(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RGB images, uint8 (N, H, W, 3), H and W even -> YUV420SP (NV12), uint8 (N, H * 3 / 2, W).

    Y, U and V as in JPEG; a 2x2 block shares the mean of its U and of its V.
    """
    red, green, blue = np.moveaxis(images.astype(np.float32), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = (blue - y) / 1.772 + 128, (red - y) / 1.402 + 128
    count, height, width = y.shape
    blocks = [plane.reshape(count, height // 2, 2, width // 2, 2).mean((2, 4)) for plane in (u, v)]
    chroma = np.stack(blocks, -1).reshape(count, height // 2, width)
    return np.rint(np.concatenate([y, chroma], 1)).clip(0, 255).astype(np.uint8)
