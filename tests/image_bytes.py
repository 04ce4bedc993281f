"""Image files byte by byte: variants that no library writes, and broken ones."""

import io
import struct
import zlib
from typing import Optional

import numpy as np
from PIL import Image, ImageCms

ORIENTATION = 274  # EXIF's and TIFF's tag of it


def picture(mode: str = "RGB", size: tuple = (40, 30)) -> Image.Image:
    """Smooth colors with an edge, so that wrong channels, rows or roundings show; every alpha occurs."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x // max(width - 1, 1), 255 * y // max(height - 1, 1), (x * 7 + y * 13) % 256], -1)
    pixels[height // 4 : height // 2, : width // 2] = (200, 30, 90)
    image = Image.fromarray(pixels.astype(np.uint8))
    if mode in ("RGBA", "LA", "PA"):
        image.putalpha(Image.fromarray(((x * 11 + y * 5) % 256).astype(np.uint8)))
    if mode == "LAB":
        transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        return ImageCms.applyTransform(image, transform)
    if mode == "I;16":
        return Image.fromarray(((x * 1543 + y * 257) % 65536).astype(np.uint16))
    if mode in ("I", "F"):
        return Image.fromarray(((x * 100 + y) % 256).astype(np.int32 if mode == "I" else np.float32))
    return image.convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """The bytes of a file of a format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    """EXIF that says how a camera was held."""
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG file with one more segment at its beginning."""
    return jpeg[:2] + struct.pack(">BBH", 255, marker, len(content) + 2) + content + jpeg[2:]


def without_segment(jpeg: bytes, marker: int) -> bytes:
    start = jpeg.index(bytes([255, marker]))
    return jpeg[:start] + jpeg[start + 2 + struct.unpack(">H", jpeg[start + 2 : start + 4])[0] :]


def with_scans(progressive: bytes, count: int) -> bytes:
    """Repeats the last scan of a progressive file, which refines coefficients and may come again, up to this many scans."""
    start = progressive.rindex(b"\xff\xda")
    return progressive[:-2] + progressive[start:-2] * (count - progressive.count(b"\xff\xda")) + b"\xff\xd9"


def _frame(jpeg: bytes) -> int:
    return next(place for marker in (b"\xff\xc0", b"\xff\xc2") if (place := jpeg.find(marker)) >= 0) + 4


def with_frame_byte(jpeg: bytes, offset: int, value: int) -> bytes:
    place = _frame(jpeg) + offset
    return jpeg[:place] + bytes([value]) + jpeg[place + 1 :]


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    place = _frame(jpeg) + 1
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def png_chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_header(width: int, height: int, depth: int = 8, kind: int = 0, interlace: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace))


def png(width: int, height: int, depth: int, kind: int, rows: np.ndarray, palette: bytes = b"") -> bytes:
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = png_header(width, height, depth, kind)
    return header + palette + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND")


def with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    return png[:33] + png_chunk(name, data) + png[33:]  # behind the header


def interlaced_png(pixels: np.ndarray) -> bytes:
    """A PNG in Adam7's seven passes."""
    data = b""
    for top, left, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
    ):  # fmt: skip
        part = pixels[top::down, left::right]
        data += b"".join(b"\0" + row.tobytes() for row in part if row.size)
    header = png_header(pixels.shape[1], pixels.shape[0], 8, 2, interlace=1)
    return header + png_chunk(b"IDAT", zlib.compress(data)) + png_chunk(b"IEND")


def bmp(width: int, height: int, bits: int, compression: int, data: bytes, colors: int = 0, masks: tuple = ()) -> bytes:
    palette = b"".join(struct.pack("<BBBx", i * 3 % 256, i * 5 % 256, i * 7 % 256) for i in range(colors))
    palette += b"".join(struct.pack("<I", mask) for mask in masks)
    start = 54 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 2835, 2835, colors, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def tiff(parts: list, changes: Optional[dict] = None, order: str = "<") -> bytes:
    """An uncompressed TIFF file of 40 x 30 RGB pixels with these strips or tiles; `changes`: tag -> value or values."""
    tags = {256: 40, 257: 30, 258: (8, 8, 8), 259: 1, 262: 2, 277: 3, 284: 1, **(changes or {})}
    tags.setdefault(278, tags[257])
    at, counts = (324, 325) if 322 in tags else (273, 279)
    offsets, place = [], 8 + 2 + 12 * (len(tags) + 2 - (322 in tags)) + 4
    if 322 in tags:
        del tags[278]
    extra, entries = b"", []
    tags.update({at: (0,) * len(parts), counts: tuple(map(len, parts))})
    lengths = sum(4 * len(value) for value in tags.values() if isinstance(value, tuple) and len(value) > 1)
    for i in range(len(parts)):
        offsets.append(place + lengths + sum(map(len, parts[:i])))
    tags[at] = tuple(offsets)
    for tag, value in sorted(tags.items()):
        values = value if isinstance(value, tuple) else (value,)
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            packed, extra = struct.pack(f"{order}I", place + len(extra)), extra + packed
        entries.append(struct.pack(f"{order}HHI", tag, 4, len(values)) + packed)
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(entries))
    return head + b"".join(entries) + struct.pack(f"{order}I", 0) + extra + b"".join(parts)
