"""Photo-like images of many kinds, made on the spot."""

from pathlib import Path

import numpy as np
from PIL import Image


def photo(width: int, height: int, seed: int) -> np.ndarray:
    """Smooth shapes with edges and a little noise, uint8 (height, width, 3)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    pixels = np.empty((height, width, 3))
    for channel in range(3):
        angle, wave, phase = random.uniform(0, 6), random.uniform(5, 60), random.uniform(0, 6)
        pixels[..., channel] = 128 + 90 * np.sin((x * np.cos(angle) + y * np.sin(angle)) / wave + phase)
    for _ in range(6):
        left, top = random.integers(0, width), random.integers(0, height)
        pixels[top : top + height // 3 + 1, left : left + width // 3 + 1] = random.integers(0, 256, 3)
    return (pixels + random.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)


SIZES = [
    (500, 375), (375, 500), (64, 48), (33, 97), (97, 33), (100, 100), (32, 32), (31, 31), (16, 16), (1, 1), (1, 40), (40, 1),
    (257, 255), (640, 201), (201, 640), (48, 99), (7, 300), (36, 74), (74, 35),
]  # fmt: skip


def write_jpegs(folder: Path) -> list:
    """RGB in three samplings, grayscale, CMYK, progressive, with trailing bytes; odd and tiny sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, (width, height) in enumerate(SIZES):
        image = Image.fromarray(photo(width, height, number))
        for kind, mode, options in (
            ("444", "RGB", {"subsampling": 0, "quality": 95}),
            ("422", "RGB", {"subsampling": 1, "quality": 80}),
            ("420", "RGB", {"subsampling": 2, "quality": 60}),
            ("progressive", "RGB", {"progressive": True, "quality": 85}),
            ("gray", "L", {"quality": 90}),
            ("cmyk", "CMYK", {"quality": 90}),
        ):
            paths.append(folder / f"{width}x{height}_{kind}.jpg")
            image.convert(mode).save(paths[-1], **options)
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate by 90 degrees", which nobody here does
    paths.append(folder / "orientation.jpg")
    Image.fromarray(photo(80, 50, 99)).save(paths[-1], exif=exif)
    paths.append(folder / "trailing.jpg")
    paths[-1].write_bytes(paths[0].read_bytes() + b"after the end")
    return paths


def write_pngs(folder: Path) -> list:
    """RGB, gray, 1-bit, palette, with transparency, 16 bits, named as JPEG."""
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(photo(90, 61, 7))
    gray = np.asarray(image.convert("L"))
    deep = Image.fromarray((gray.astype(np.uint16) << 8) + np.arange(90, dtype=np.uint16))
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.fromarray(gray))
    images = {
        "rgb.png": image, "gray.png": image.convert("L"), "bits.png": image.convert("1"), "palette.png": image.quantize(64),
        "rgba.png": alpha, "gray_alpha.png": alpha.convert("LA"), "deep.png": deep,
        "small_palette.png": image.quantize(4),
    }  # fmt: skip
    paths = []
    for name, content in images.items():
        paths.append(folder / name)
        content.save(paths[-1])
    paths.append(folder / "named.JPEG")
    image.save(paths[-1], format="PNG")
    paths.append(folder / "transparent_palette.png")
    image.quantize(16).save(paths[-1], transparency=3)
    return paths
