"""Which image files can be used, and their pixels: one rule for all that reads images.

What a file holds decides, not its ending:

- JPEG: 8 bits; gray, YCbCr, RGB, CMYK or YCCK; sequential or progressive, not lossless. Of several in one file the first.
- PNG: every variant; 16 bits keep the upper 8; of an animation the default image.
- BMP: what Pillow reads.
- TIFF: 8 bits a sample; gray, palette, RGB, with or without a fourth sample; uncompressed, LZW, deflate, PackBits or JPEG;
  the first page.
- WebP: lossy and lossless; no animations.

Transparency is dropped, orientation tags are ignored (as torchvision and timm do), color profiles too. Limits on pixels,
sides, bytes and scans bound what a file made to harm can cost. ascend310_infer/src/decode.cc follows the same rule.
"""

import io
import os
import stat
import struct
from typing import BinaryIO, Optional

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from .image_headers import (
    HEAD,
    MOST_BYTES,
    MOST_PIXELS,
    ImageError,
    TooLargeError,
    check_png,
    check_scans,
    check_size,
    format_of,
    is_plain_jpeg,
    jpeg_frame,
    ordinary_size,
)

RULE = 2  # counts the changes of what is accepted: verdicts kept from earlier do not hold any more
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")  # of the files that are looked at

_USUAL_HEADER = 16 << 10  # bytes, with a small picture of the image
_LENGTHS = 500  # of its shorter side that an image may be long before its ends are left out
_TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg")
_TIFF_SAMPLES = {"L": (1,), "P": (1,), "RGB": (3, 4), "RGBA": (4,)}  # Pillow's mode -> samples per pixel in the file
_BITS, _FILL_ORDER, _ORIENTATION, _SAMPLES, _SAMPLE_FORMAT = 258, 266, 274, 277, 339  # tags of TIFF
# How Pillow turned a TIFF by its tag -> what turns it back.
_TURNED_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def open_file(path: str, buffering: int = -1) -> BinaryIO:
    """Opens a regular file of bounded size for reading; waits for no pipe and wakes no device.

    Raises:
        ImageError: it is something else, or too large.
        OSError: it cannot be opened.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("is not a regular file")
    if status.st_size > MOST_BYTES:
        raise ImageError(f"has {status.st_size} bytes; at most {MOST_BYTES} are read")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that took its place since does not block
    return os.fdopen(descriptor, "rb", buffering)


def read_file(path: str) -> bytes:
    """The content of an image file. Raises as `open_file` does."""
    with open_file(path, buffering=0) as file:
        return file.read()


def find_problem(path: str, whole: bool) -> Optional[str]:
    """What is wrong with an image file, or None.

    Pillow may warn of oddities that decode all the same.

    Args:
        whole: decodes all of it and not the header alone.
    """
    try:
        with open_file(path) as file:
            if whole:
                _decoded(file.read(), at_an_eighth=True)
            elif not is_plain_jpeg(file.read(_USUAL_HEADER)):
                _check_header(file)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return None


def decode(content: bytes, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """The RGB pixels of an image file. Raises ImageError where it cannot be used or has more pixels than `most_pixels`."""
    image = _decoded(content, at_an_eighth=False, most_pixels=most_pixels)
    image.info.pop("transparency", None)  # of palettes; Pillow would warn that it is lost
    return to_rgb(image)


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB; 16-bit gray keeps its upper 8 bits, as in MindSpore (Pillow alone would clip them)."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, np.int64) >> 8).clip(0, 255).astype(np.uint8))
    return image.convert("RGB")


def for_mindspore(content: bytes) -> bytes:
    """An image file that MindSpore decodes to the pixels of `decode`: the same, or else the pixels as a BMP file.

    Ordinary JPEG and PNG files stay as they are. Others MindSpore decodes differently (CMYK, TIFF with transparency), not at
    all (WebP), or ends the process on.

    Raises:
        ImageError: it cannot be used. Files that stay as they are may still be damaged within their data.
    """
    return content if ordinary_size(content) else _as_bmp(decode(content))


def without_ends(content: bytes) -> bytes:
    """What `for_mindspore` gives, cut to the middle where it is very long and narrow.

    Its shorter side becomes 256 pixels or so before the crop: the whole of it would take gigabytes.
    """
    size = ordinary_size(content) or struct.unpack_from("<ii", content, 18)
    return content if max(size) <= _LENGTHS * min(size) else _as_bmp(middle(decode(content)))


def middle(image: Image.Image) -> Image.Image:
    """An image cut to its middle where it is very long and narrow: the pixels of `without_ends`."""
    longer, shorter = max(image.size), min(image.size)
    if longer <= _LENGTHS * shorter:
        return image
    # An even number of pixels is cut off, so that the middle of the image stays where it is.
    cut = (longer - _LENGTHS * shorter) // 2
    left, top = (cut, 0) if image.width == longer else (0, cut)
    return image.crop((left, top, image.width - left, image.height - top))


def _as_bmp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()


def _check_header(file: BinaryIO) -> None:
    file.seek(0)
    if isinstance(_open(file), JpegImageFile):
        length = file.tell()  # Pillow stops at the first scan's data
        file.seek(0)
        frame = jpeg_frame(file.read(length))
        if frame and frame.in_passes:
            file.seek(0)
            check_scans(file.read())


def _decoded(content: bytes, at_an_eighth: bool, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """The image in a file's content, with its pixels as they are stored.

    Args:
        at_an_eighth: of the size, where it is a JPEG: all its data is read, but less is computed.
    """
    image = _open(io.BytesIO(content), most_pixels)
    if image.format in ("JPEG", "MPO"):
        frame = jpeg_frame(content)
        if frame and frame.in_passes:
            check_scans(content)
        if at_an_eighth:
            image.draft("RGB", (max(image.width // 8, 1), max(image.height // 8, 1)))
    if image.format == "PNG":
        check_png(content)
    return _loaded(image)


def _open(file: BinaryIO, most_pixels: int = MOST_PIXELS) -> Image.Image:
    """Reads the header of an image file. Raises ImageError for what is not in the module's list or beyond its limits."""
    head = file.read(HEAD)
    file.seek(0)
    kind = format_of(head)
    if kind == "WEBP" and head[12:16] == b"VP8X" and head[20] & 2:
        raise ImageError("is an animation; a WebP file must hold a single image")
    try:
        image = Image.open(file, formats=[kind])  # no other: some start programs, as PostScript's does
    except Image.DecompressionBombError:
        raise TooLargeError(f"has more pixels than the {MOST_PIXELS} that are read") from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"cannot be decoded (damaged or unusual header of a {kind} file)") from None
    except Exception as error:  # Pillow raises SyntaxError, ValueError, struct.error and more on broken files
        raise ImageError(f"cannot be decoded ({error})") from None
    check_size(*image.size, most_pixels)
    if kind == "TIFF":
        _check_tiff(image)
    return image


def _check_tiff(image: Image.Image) -> None:
    compression = image.info.get("compression", "raw")
    if compression not in _TIFF_COMPRESSIONS:
        raise ImageError(f"is a TIFF file with compression {compression}; {', '.join(_TIFF_COMPRESSIONS)} are read")
    assert isinstance(image, TiffImageFile), "`format` says so"
    tags = image.tag_v2
    ordinary = (set(tags.get(_BITS, (1,))), set(tags.get(_SAMPLE_FORMAT, (1,))), tags.get(_FILL_ORDER, 1)) == ({8}, {1}, 1)
    if not ordinary or tags.get(_SAMPLES, 1) not in _TIFF_SAMPLES.get(image.mode, ()):
        raise ImageError(f"is a TIFF file of pixels {image.mode}; 8-bit gray, palette, RGB and RGBA are read")


def _loaded(image: Image.Image) -> Image.Image:
    """The image with its pixels decoded, as they are stored: Pillow turns TIFF files by their tag, and no others."""
    try:
        turned = image.getexif().get(_ORIENTATION) if image.format == "TIFF" else None
        image.load()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from None
    except Exception as error:  # as above
        raise ImageError(f"cannot be decoded ({error})") from None
    return image.transpose(_TURNED_BACK[turned]) if turned in _TURNED_BACK else image
