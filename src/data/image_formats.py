"""Which image files can be used, and their pixels: one rule for all that reads images.

What a file holds decides, not its ending:

- JPEG: 8 bits; gray, YCbCr, RGB, CMYK or YCCK; sequential or progressive, not lossless. Of several in one file the first.
- PNG: every variant; 16 bits keep the upper 8; of an animation the default image.
- BMP: what Pillow reads.
- TIFF: 8 bits a sample; gray, palette, RGB, with or without a fourth sample; uncompressed, LZW, deflate, PackBits or JPEG;
  the first page.
- WebP: lossy and lossless; no animations.

Transparency is dropped, orientation tags are ignored (as torchvision and timm do), colour profiles too. Limits on pixels,
sides, bytes and scans bound what a file made to harm can cost. ascend310_infer/src/decode.cc follows the same rule.
"""

import io
import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Optional

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

RULE = 2  # counts the changes of what is accepted: verdicts kept from earlier do not hold any more
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")  # of the files that are looked at
MOST_PIXELS = 178_956_970  # 512 MB of RGB; Pillow's own limit
MOST_PER_SIDE = 65_500  # libjpeg's limit
MOST_SCANS = 500  # each costs a pass over the image; encoders write about ten
MOST_BYTES = 512 << 20

_FORMATS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP",
    b"II*\0": "TIFF", b"MM\0*": "TIFF", b"II+\0": "TIFF", b"MM\0+": "TIFF",
}  # fmt: skip
_OTHERS = {  # place of the magic bytes -> what else is known, to say so
    0: {
        b"GIF8": "GIF", b"\0\0\0\x0cjP  ": "JPEG 2000", b"\xff\x4f\xff\x51": "JPEG 2000", b"%!PS": "PostScript",
        b"\xc5\xd0\xd3\xc6": "PostScript", b"%PDF": "PDF", b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL",
    },
    4: {b"ftypavi": "AVIF", b"ftyphei": "HEIF", b"ftyphev": "HEIF", b"ftypmif": "HEIF"},
}  # fmt: skip
_LENGTHS = 500  # of its shorter side that an image may be long before its ends are left out
_HEAD = 32  # bytes that tell the format
_TIFF_COMPRESSIONS = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "jpeg")
_TIFF_SAMPLES = {"L": (1,), "P": (1,), "RGB": (3, 4), "RGBA": (4,)}  # Pillow's mode -> samples per pixel in the file
_BITS, _FILL_ORDER, _ORIENTATION, _SAMPLES, _SAMPLE_FORMAT = 258, 266, 274, 277, 339  # tags of TIFF
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # sequential and progressive, by Huffman's and by arithmetic codes
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
# How Pillow turned a TIFF by its tag -> what turns it back.
_TURNED_BACK = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


class ImageError(ValueError):
    """An image that cannot be used. The message follows the file's name: "is empty"."""


def open_file(path: str) -> BinaryIO:
    """Opens a regular file of bounded size for reading; waits for no pipe and wakes no device.

    Raises:
        ImageError: it is something else, or too large.
        OSError: it cannot be opened.
    """
    _check_status(os.stat(path))
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
    try:
        _check_status(os.fstat(file.fileno()))  # it may have been replaced since
    except ImageError:
        file.close()
        raise
    return file


def _check_status(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ImageError("is not a regular file")
    if status.st_size > MOST_BYTES:
        raise ImageError(f"has {status.st_size} bytes; at most {MOST_BYTES} are read")


def read_file(path: str) -> bytes:
    """The content of an image file. Raises as `open_file` does."""
    with open_file(path) as file:
        return file.read()


def find_problem(path: str, whole: bool) -> Optional[str]:
    """What is wrong with an image file, or None.

    Args:
        whole: decodes all of it and not the header alone.
    """
    try:
        with open_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # oddities that decode all the same
            _check(file, whole)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
    return None


def decode(content: bytes) -> Image.Image:
    """The RGB pixels of an image file. Raises ImageError where it cannot be used."""
    image = _open(io.BytesIO(content))
    _check_scans(image, content)
    if image.format == "PNG":
        _check_png(content)
    image = _loaded(image)
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
    return content if _ordinary_size(content) else _as_bmp(decode(content))


def without_ends(content: bytes) -> bytes:
    """What `for_mindspore` gives, cut to the middle where it is very long and narrow.

    Its shorter side becomes 256 pixels or so before the crop: the whole of it would take gigabytes.
    """
    size = _ordinary_size(content) or struct.unpack_from("<ii", content, 18)
    longer, shorter = max(size), min(size)
    if longer <= _LENGTHS * shorter:
        return content
    # An even number of pixels is cut off, so that the middle of the image stays where it is.
    cut = (longer - _LENGTHS * shorter) // 2
    left, top = (cut, 0) if size[0] == longer else (0, cut)
    return _as_bmp(decode(content).crop((left, top, size[0] - left, size[1] - top)))


def _as_bmp(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()


def _check(file: BinaryIO, whole: bool) -> None:
    image = _open(file)
    if image.format in ("JPEG", "MPO"):
        length = -1 if whole or "progressive" in image.info else file.tell()  # of the file, or of its header
        file.seek(0)
        _check_scans(image, file.read(length))
        # JPEG may decode at 1/8 of its size: all its data is read, but less is computed.
        image.draft("RGB", (max(image.width // 8, 1), max(image.height // 8, 1)))
    if whole and image.format == "PNG":
        file.seek(0)
        _check_png(file.read())
    if whole:
        _loaded(image)


def _open(file: BinaryIO) -> Image.Image:
    """Reads the header of an image file. Raises ImageError for what is not in the module's list or beyond its limits."""
    head = file.read(_HEAD)
    file.seek(0)
    kind = _format_of(head)
    if kind == "WEBP" and head[12:16] == b"VP8X" and head[20] & 2:
        raise ImageError("is an animation; a WebP file must hold a single image")
    try:
        image = Image.open(file, formats=[kind])  # no other: some start programs, as PostScript's does
    except Image.DecompressionBombError:
        raise ImageError(f"has more pixels than the {MOST_PIXELS} that are read") from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"cannot be decoded (damaged or unusual header of a {kind} file)") from None
    except Exception as error:  # Pillow raises SyntaxError, ValueError, struct.error and more on broken files
        raise ImageError(f"cannot be decoded ({error})") from None
    _check_size(*image.size)
    if kind == "TIFF":
        _check_tiff(image)
    return image


def _format_of(head: bytes) -> str:
    if not head:
        raise ImageError("is empty")
    for magic, kind in _FORMATS.items():
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    for place, kinds in _OTHERS.items():
        for magic, kind in kinds.items():
            if head.startswith(magic, place):
                raise ImageError(f"is a {kind} file; JPEG, PNG, BMP, TIFF and WebP are read")
    raise ImageError("is not an image")


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise ImageError("has no pixels")
    if max(width, height) > MOST_PER_SIDE or width * height > MOST_PIXELS:
        limits = f"at most {MOST_PER_SIDE} a side and {MOST_PIXELS} in all"
        raise ImageError(f"has {width} x {height} pixels; {limits} are read")


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


def _check_scans(image: Image.Image, content: bytes) -> None:
    """Checks how a JPEG file is coded, and in how many passes, without decoding it."""
    if image.format not in ("JPEG", "MPO"):
        return
    scans, many = 0, content.count(b"\xff\xda") > MOST_SCANS  # if not, there are no more; rarely a false alarm
    for marker, _ in _jpeg_markers(content, beyond_scans=many):
        scans += marker == 0xDA
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and marker not in _JPEG_FRAMES:
            raise ImageError("is a lossless or hierarchical JPEG file")
        if scans > MOST_SCANS:
            raise ImageError(f"has more than {MOST_SCANS} scans")


_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in a scan's data; 0 and the restart markers belong to it


def _jpeg_markers(content: bytes, beyond_scans: bool) -> Iterator[tuple[int, int]]:
    """(marker, place of its segment's content), up to the first scan, or to the file's end or a break."""
    place = 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        yield marker, place + 4
        if marker == 0xD9:
            return
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == 0xDA:
            found = _NEXT_MARKER.search(content, place) if beyond_scans else None
            if not found:
                return
            place = found.start()


def _ordinary_size(content: bytes) -> Optional[tuple[int, int]]:
    """(width, height) of a JPEG or PNG file that MindSpore decodes as Pillow does; None for all others."""
    size = _jpeg_size(content) or _png_size(content)
    if size and min(size) > 0 and max(size) <= MOST_PER_SIDE and size[0] * size[1] <= MOST_PIXELS:
        return size
    return None


def _jpeg_size(content: bytes) -> Optional[tuple[int, int]]:
    """Of a JPEG file of gray or three colours by Huffman's codes, with a scan and not too many."""
    if content[:3] != b"\xff\xd8\xff" or content.count(b"\xff\xda") > MOST_SCANS:
        return None
    frame = None
    for marker, place in _jpeg_markers(content, beyond_scans=False):
        if marker in (0xC0, 0xC1, 0xC2) and place + 6 <= len(content):
            frame = struct.unpack_from(">BHHB", content, place)
        elif marker == 0xDA and frame:
            bits, height, width, components = frame
            return (width, height) if bits == 8 and components in (1, 3) else None
    return None


def _check_png(content: bytes) -> None:
    """Checks the names of a PNG file's chunks and the checksums of the critical ones, as libpng does; Pillow leaves gaps."""
    place = 8
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 8 + length
        if not kind.isalpha():
            raise ImageError("cannot be decoded (damaged between its chunks)")
        if kind[:1].isupper() and zlib.crc32(content[place + 4 : end]).to_bytes(4, "big") != content[end : end + 4]:
            raise ImageError(f"cannot be decoded (a wrong checksum in its chunk {kind.decode('latin-1')!r})")
        if kind == b"IEND":
            return
        place = end + 4


def _png_size(content: bytes) -> Optional[tuple[int, int]]:
    """Of a PNG file with its end."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or not content.endswith(_PNG_END) or len(content) < 8 + 25 + 12:
        return None
    return struct.unpack_from(">II", content, 16)
