"""What the bytes of an image file say without being decoded: its format, its size, how it is coded, within which limits."""

import re
import struct
import zlib
from typing import NamedTuple, Optional

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
_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)
_JPEG_FRAME = struct.Struct(">BHHB")
_PLAIN_SEGMENTS = {0xC4: 2, 0xDD: 2, 0xE0: 14, 0xE1: 14, 0xEE: 14, 0xFE: 2}  # marker -> the length from which all is well
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # in a scan's data; 0 and the restart markers belong to it
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"


class ImageError(ValueError):
    """An image that cannot be used. The message follows the file's name: "is empty"."""


class UnreadFormatError(ImageError):
    """A file of another kind than the five that are read."""


class TooLargeError(ImageError):
    """An image of more pixels than are read."""


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
                raise UnreadFormatError(f"is a {kind} file; JPEG, PNG, BMP, TIFF and WebP are read")
    raise UnreadFormatError("is not an image")


def check_size(width: int, height: int, most_pixels: int = MOST_PIXELS) -> None:
    """Raises ImageError for a size beyond the limits."""
    if not width or not height:
        raise ImageError("has no pixels")
    if not _is_within_limits(width, height, most_pixels):
        limits = f"at most {MOST_PER_SIDE} a side and {most_pixels} in all"
        raise TooLargeError(f"has {width} x {height} pixels; {limits} are read")


def _is_within_limits(width: int, height: int, most_pixels: int = MOST_PIXELS) -> bool:
    return min(width, height) > 0 and max(width, height) <= MOST_PER_SIDE and width * height <= most_pixels


class JpegFrame(NamedTuple):
    """What a JPEG file says before the data of its first scan; `marker` names the coding."""

    marker: int
    bits: int
    height: int
    width: int
    components: int
    in_first_scan: int

    @property
    def in_passes(self) -> bool:
        """Whether there may be many scans; otherwise all data is in the first and decoders stop there."""
        return self.marker in (0xC2, 0xCA) or self.in_first_scan < self.components


def is_plain_jpeg(start: bytes) -> bool:
    """Whether a file begins as most JPEG files do, with a header that nobody refuses: quicker than asking Pillow.

    That is: gray or three colors of 8 bits, sequential, one scan, a size within the limits, and before the scan only
    segments in which there is nothing to get wrong. False says nothing.
    """
    place, components = 2 if start[:2] == b"\xff\xd8" else len(start), 0
    while place + 5 <= len(start) and start[place] == 0xFF:
        marker, length = start[place + 1], start[place + 2] << 8 | start[place + 3]
        end = place + 2 + length
        if end > len(start):
            return False
        if marker == 0xDA:
            return 0 < components == start[place + 4]
        if marker == 0xDB:  # tables of 64 bytes, each after its number
            if length % 65 != 2 or max(start[place + 4 : end : 65], default=16) > 15:
                return False
        elif marker in (0xC0, 0xC1) and length in (11, 17) and not components:
            bits, height, width, components = _JPEG_FRAME.unpack_from(start, place + 4)
            if bits != 8 or components != (length - 8) // 3 or not _is_within_limits(width, height):
                return False
        elif length < _PLAIN_SEGMENTS.get(marker, length + 1):
            return False
        place = end
    return False


def jpeg_frame(content: bytes) -> Optional[JpegFrame]:
    """Of a JPEG file or its header; None where there is no scan. Raises ImageError for codings that are not read."""
    frame: Optional[tuple[int, int, int, int, int]] = None
    place, end = 2, len(content)
    while place + 4 < end and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xDA:
            return JpegFrame(*frame, content[place + 4]) if frame else None
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in _JPEG_FRAMES and place + 10 <= end:
            frame = (marker, *_JPEG_FRAME.unpack_from(content, place + 4))
        elif marker in _OTHER_FRAMES:
            raise ImageError("is a lossless or hierarchical JPEG file")
        place += 2 + (content[place + 2] << 8 | content[place + 3])
    return None


def check_scans(content: bytes) -> None:
    """Counts the scans of a JPEG file without decoding it. Raises ImageError for too many."""
    if content.count(b"\xff\xda") <= MOST_SCANS:  # there cannot be more
        return
    scans, place = 0, 2
    while place + 4 <= len(content) and content[place] == 0xFF and content[place + 1] != 0xD9:
        marker = content[place + 1]
        scans += marker == 0xDA
        if scans > MOST_SCANS:
            raise ImageError(f"has more than {MOST_SCANS} scans")
        place += 1 if marker == 0xFF else 2 + (content[place + 2] << 8 | content[place + 3])
        if marker == 0xDA:
            found = _NEXT_MARKER.search(content, place)
            place = found.start() if found else len(content)


def ordinary_size(content: bytes) -> Optional[tuple[int, int]]:
    """(width, height) of a JPEG or PNG file that MindSpore decodes as Pillow does; None for all others."""
    size = _jpeg_size(content) or _png_size(content)
    return size if size and _is_within_limits(*size) else None


def _jpeg_size(content: bytes) -> Optional[tuple[int, int]]:
    """Of a JPEG file of gray or three colors by Huffman's codes, with a scan and not too many."""
    frame = jpeg_frame(content) if content.startswith(b"\xff\xd8\xff") else None
    if not frame or frame.marker not in (0xC0, 0xC1, 0xC2) or frame.bits != 8 or frame.components not in (1, 3):
        return None
    if frame.in_passes:
        check_scans(content)
    return frame.width, frame.height


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
