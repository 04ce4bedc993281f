"""What the bytes of an image file say without being decoded: its format, its size, how it is coded, within which limits."""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Optional

MOST_PIXELS = 178_956_970  # 512 MB of RGB; Pillow's own limit
MOST_PER_SIDE = 65_500  # libjpeg's limit
MOST_SCANS = 500  # each costs a pass over the image; encoders write about ten
MOST_BYTES = 512 << 20

HEAD = 32  # bytes that tell the format

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
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # sequential and progressive, by Huffman's and by arithmetic codes
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


class ImageError(ValueError):
    """An image that cannot be used. The message follows the file's name: "is empty"."""


def format_of(head: bytes) -> str:
    """Pillow's name of the format of a file that begins so. Raises ImageError for all but the five that are read."""
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


def check_size(width: int, height: int) -> None:
    """Raises ImageError for a size beyond the limits."""
    if not width or not height:
        raise ImageError("has no pixels")
    if max(width, height) > MOST_PER_SIDE or width * height > MOST_PIXELS:
        limits = f"at most {MOST_PER_SIDE} a side and {MOST_PIXELS} in all"
        raise ImageError(f"has {width} x {height} pixels; {limits} are read")


def check_scans(content: bytes) -> None:
    """Checks how a JPEG file is coded, and in how many passes, without decoding it."""
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


def ordinary_size(content: bytes) -> Optional[tuple[int, int]]:
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


def check_png(content: bytes) -> None:
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
