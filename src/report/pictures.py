"""Small pictures for the page, and an image under its heat map."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

_SIDE = 96  # pixels of the longer side
_EXACT = 48  # pixels up to which an image is kept as it is


def thumbnail(image: Image.Image) -> bytes:
    """An RGB image as a small JPEG file, or a PNG file where it is tiny."""
    small = image.copy()
    small.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    if max(small.size) <= _EXACT:
        small.save(file, "PNG", optimize=True)
    else:
        small.save(file, "JPEG", quality=80)
    return file.getvalue()


def under_heat(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> Image.Image:
    """An image (H, W, 3) with the heat map (H, W), 0..1, over it: the warmer, the more of its color there is."""
    levels = Image.fromarray((255 * heat).round().astype(np.uint8))
    colors = ImageOps.colorize(levels, black="#000004", mid="#bc3754", white="#fcffa4")  # as matplotlib's inferno
    gray = ImageOps.grayscale(Image.fromarray(pixels)).convert("RGB")
    return Image.composite(colors, gray, levels.point([round(0.25 * 255 + 0.5 * level) for level in range(256)]))


def data_address(file: bytes) -> str:
    """A picture as an address that holds it."""
    kind = "png" if file.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"
