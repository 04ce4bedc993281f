"""Images as people have them and as attackers make them: every format and variant, with the verdict that all readers share.

    for odd in odd_images(): (folder / odd.name).write_bytes(odd.content)

`tests/unit/test_odd_images.py` drives them through Python, `tests/cpp` through the C++ program.
"""

import io
import struct
import zlib
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image, ImageCms

LEFT_TO_RIGHT = 274  # EXIF's and TIFF's tag of the orientation


class Odd(NamedTuple):
    """One file.

    Attributes:
        name: its ending is one that is looked at, and often not that of its content.
        reason: part of what the scan says of it; None where the image can be used.
        in_data: whether only its data is wrong, which a scan of the headers does not see.
    """

    name: str
    content: bytes
    reason: Optional[str] = None
    in_data: bool = False


def odd_images() -> list:
    """All of them, in a fixed order and with fixed content, each name once."""
    files = [*_jpegs(), *_pngs(), *_bmps(), *_tiffs(), *_webps(), *_others()]
    assert len({odd.name for odd in files}) == len(files)
    return files


def picture(mode: str = "RGB", size: tuple = (40, 30)) -> Image.Image:
    """Smooth colours with an edge, so that wrong channels, rows or roundings show; every alpha occurs."""
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
    tags[LEFT_TO_RIGHT] = orientation
    return tags


def _jpegs() -> list:
    rgb, gray = picture(), picture("L")
    plain = encoded(rgb, "JPEG", quality=90)
    progressive = encoded(rgb, "JPEG", progressive=True)
    files = [
        Odd("plain.jpg", plain),
        Odd("upper.JPG", plain),
        Odd("jpeg_named.png", plain),
        Odd("jpeg_named.webp", plain),
        Odd("gray.jpeg", encoded(gray, "JPEG")),
        Odd("progressive.jpg", progressive),
        Odd("progressive_gray.jpg", encoded(gray, "JPEG", progressive=True)),
        Odd("optimized.jpg", encoded(rgb, "JPEG", optimize=True)),
        Odd("cmyk.jpg", encoded(picture("CMYK"), "JPEG")),
        Odd("cmyk_progressive.jpg", encoded(picture("CMYK"), "JPEG", progressive=True)),
        Odd("cmyk_plain.jpg", _without_segment(encoded(picture("CMYK"), "JPEG"), 0xEE)),
        Odd("ycck.jpg", encoded(picture("CMYK"), "JPEG").replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2")),
        Odd("rgb.jpg", encoded(rgb, "JPEG", keep_rgb=True)),
        Odd("restarts.jpg", encoded(rgb, "JPEG", restart_marker_blocks=2)),
        Odd("icc.jpg", encoded(rgb, "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())),
        Odd("comment.jpg", encoded(rgb, "JPEG", comment=b"\xff\xda" * 600)),
        Odd("thumbnail.jpg", _with_segment(plain, 0xE2, plain * 3)),
        Odd("after_the_end.jpg", plain + b"\xff\xda" * 1000),
        Odd("two_in_one.jpg", encoded(rgb, "MPO", save_all=True, append_images=[picture(size=(20, 20))])),
        Odd("strip_300x7.jpg", encoded(picture(size=(300, 7)), "JPEG")),
        Odd("strip_7x300.jpg", encoded(picture(size=(7, 300)), "JPEG", progressive=True)),
        Odd("one_pixel.jpg", encoded(picture(size=(1, 1)), "JPEG")),
        Odd("one_row.jpg", encoded(picture("L", size=(90, 1)), "JPEG")),
        Odd("scans_200.jpg", _more_scans(progressive, 200)),
        Odd("scans_501.jpg", _more_scans(progressive, 501), "scans"),
        Odd("scans_5000.jpg", _more_scans(progressive, 5000), "scans"),
        Odd("wide_65501.jpg", _sized(plain, 65501, 30), "65501"),
        Odd("huge.jpg", _sized(plain, 60000, 60000), "pixels"),
        Odd("precise.jpg", _changed_frame(plain, 0, 12), "cannot be decoded"),
        Odd("lossless.jpg", plain.replace(b"\xff\xc0", b"\xff\xc3", 1), "lossless"),
        Odd("cut.jpg", plain[: len(plain) * 2 // 3], "truncated", in_data=True),
        Odd("cut_progressive.jpg", progressive[: len(progressive) * 2 // 3], "truncated", in_data=True),
        Odd("cut_header.jpg", plain[:300], ""),
        Odd("empty.jpg", b"", "is empty"),
        Odd("text.jpg", b"<html>404 not found</html>", "is not an image"),
        Odd("zeros.jpg", bytes(1000), "is not an image"),
        Odd("only_magic.jpg", b"\xff\xd8\xff", ""),
    ]
    for ratio in range(3):
        files.append(Odd(f"subsampling_{ratio}.jpg", encoded(picture(size=(41, 31)), "JPEG", subsampling=ratio)))
    return files + [Odd(f"turned_{i}.jpg", encoded(rgb, "JPEG", quality=90, exif=exif(i))) for i in range(2, 9)]


def _with_segment(jpeg: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG file with one more segment at its beginning."""
    return jpeg[:2] + struct.pack(">BBH", 255, marker, len(content) + 2) + content + jpeg[2:]


def _without_segment(jpeg: bytes, marker: int) -> bytes:
    start = jpeg.index(bytes([255, marker]))
    return jpeg[:start] + jpeg[start + 2 + struct.unpack(">H", jpeg[start + 2 : start + 4])[0] :]


def _more_scans(progressive: bytes, count: int) -> bytes:
    """Repeats the last scan of a progressive file, which refines coefficients and may come again, up to this many scans."""
    start = progressive.rindex(b"\xff\xda")
    return progressive[:-2] + progressive[start:-2] * (count - progressive.count(b"\xff\xda")) + b"\xff\xd9"


def _frame(jpeg: bytes) -> int:
    return next(place for marker in (b"\xff\xc0", b"\xff\xc2") if (place := jpeg.find(marker)) >= 0) + 4


def _changed_frame(jpeg: bytes, offset: int, value: int) -> bytes:
    place = _frame(jpeg) + offset
    return jpeg[:place] + bytes([value]) + jpeg[place + 1 :]


def _sized(jpeg: bytes, width: int, height: int) -> bytes:
    place = _frame(jpeg) + 1
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]


def _pngs() -> list:
    rgb, gray = picture(), picture("L")
    plain = encoded(rgb, "PNG")
    frames = {"save_all": True, "append_images": [picture(size=(40, 30)).rotate(180)], "duration": 100}
    y, x = np.mgrid[0:30, 0:40]
    deep = ((x * 1543 + y * 257) % 65536).astype(">u2")
    palette = bytes(range(48))
    files = [
        Odd("plain.png", plain),
        Odd("png_named.jpg", plain),
        Odd("upper.PNG", plain),
        Odd("rgba.png", encoded(picture("RGBA"), "PNG")),
        Odd("rgba_clear.png", encoded(Image.new("RGBA", (9, 9), (250, 10, 90, 0)), "PNG")),
        Odd("gray.png", encoded(gray, "PNG")),
        Odd("gray_alpha.png", encoded(picture("LA"), "PNG")),
        Odd("palette.png", encoded(picture("P"), "PNG")),
        Odd("palette_clear.png", encoded(picture("P"), "PNG", transparency=3)),
        Odd("palette_alphas.png", encoded(picture("P"), "PNG", transparency=bytes(range(256)))),
        Odd("gray_clear.png", encoded(gray, "PNG", transparency=17)),
        Odd("rgb_clear.png", encoded(rgb, "PNG", transparency=(200, 30, 90))),
        Odd("one_bit.png", encoded(picture("1"), "PNG")),
        Odd("gray_16.png", encoded(picture("I;16"), "PNG")),
        Odd("gray_alpha_16.png", _png(40, 30, 16, 4, np.dstack([deep, deep[::-1]]))),
        Odd("rgb_16.png", _png(40, 30, 16, 2, np.dstack([deep, deep[::-1], deep[:, ::-1]]))),
        Odd("rgba_16.png", _png(40, 30, 16, 6, np.dstack([deep, deep[::-1], deep[:, ::-1], deep]))),
        Odd("gamma.png", _with_chunk(plain, b"gAMA", struct.pack(">I", 100000))),
        Odd("gamma_steep.png", _with_chunk(plain, b"gAMA", struct.pack(">I", 20000))),
        Odd("icc.png", encoded(rgb, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())),
        Odd("background.png", _with_chunk(encoded(picture("RGBA"), "PNG"), b"bKGD", struct.pack(">HHH", 9, 200, 9))),
        Odd("significant_bits.png", _with_chunk(plain, b"sBIT", b"\5\6\5")),
        Odd("no_end.png", plain[:-12]),
        Odd("after_the_end.png", plain + b"more"),
        Odd("animated.png", encoded(rgb, "PNG", **frames)),
        Odd("one_pixel.png", encoded(picture(size=(1, 1)), "PNG")),
        Odd("strip.png", encoded(picture(size=(1, 200)), "PNG")),
        Odd("interlaced.png", _interlaced(np.asarray(picture(size=(9, 5))))),
        Odd("wide_65501.png", encoded(Image.new("1", (65501, 1)), "PNG"), "65501"),
        Odd("one_million_by_1.png", encoded(Image.new("1", (1_000_000, 1)), "PNG"), "1000000"),
        Odd("huge.png", _png_header(60000, 60000) + _chunk(b"IDAT", zlib.compress(bytes(100))) + _chunk(b"IEND"), "pixels"),
        Odd("cut.png", plain[: len(plain) // 2], "", in_data=True),
        Odd("bad_checksum.png", plain[:-20] + b"\0\0\0\0" + plain[-16:], "", in_data=True),
        Odd("bad_header.png", plain[:20] + b"\7" + plain[21:], ""),
    ]
    for depth in (1, 2, 4):
        data = np.arange(5 * 8, dtype=np.uint8).reshape(5, 8)[:, :depth] * 37
        files.append(Odd(f"gray_{depth}.png", _png(8, 5, depth, 0, data)))
        files.append(Odd(f"palette_{depth}.png", _png(8, 5, depth, 3, data, _chunk(b"PLTE", palette[: 3 * 2**depth]))))
    return files + [Odd(f"turned_{i}.png", encoded(rgb, "PNG", exif=exif(i))) for i in (3, 6)]


def _chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png_header(width: int, height: int, depth: int = 8, kind: int = 0, interlace: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace))


def _png(width: int, height: int, depth: int, kind: int, rows: np.ndarray, palette: bytes = b"") -> bytes:
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = _png_header(width, height, depth, kind)
    return header + palette + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND")


def _with_chunk(png: bytes, name: bytes, data: bytes) -> bytes:
    return png[:33] + _chunk(name, data) + png[33:]  # behind the header


def _interlaced(pixels: np.ndarray) -> bytes:
    """A PNG in Adam7's seven passes."""
    data = b""
    for top, left, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
    ):  # fmt: skip
        part = pixels[top::down, left::right]
        data += b"".join(b"\0" + row.tobytes() for row in part if row.size)
    header = _png_header(pixels.shape[1], pixels.shape[0], 8, 2, interlace=1)
    return header + _chunk(b"IDAT", zlib.compress(data)) + _chunk(b"IEND")


def _bmps() -> list:
    plain = encoded(picture(), "BMP")
    gray = np.asarray(picture("L", (8, 4)))
    runs = b"".join(bytes([8, int(row[0])]) + b"\0\0" for row in gray[::-1]) + b"\0\1"
    high = struct.pack("<i", -30)
    return [
        Odd("plain.bmp", plain),
        Odd("bmp_named.jpg", plain),
        Odd("gray.bmp", encoded(picture("L"), "BMP")),
        Odd("one_bit.bmp", encoded(picture("1"), "BMP")),
        Odd("palette.bmp", encoded(picture("P"), "BMP")),
        Odd("palette_4.bmp", _bmp(8, 4, 4, 0, bytes(range(16)), 16)),
        Odd("rgba.bmp", encoded(picture("RGBA"), "BMP")),
        Odd("top_down.bmp", plain[:22] + high + plain[26:]),
        Odd("rgb_555.bmp", _bmp(6, 4, 16, 0, bytes(range(48)))),
        Odd("rgb_565.bmp", _bmp(6, 4, 16, 3, bytes(range(48)), masks=(0xF800, 0x7E0, 0x1F))),
        Odd("runs.bmp", _bmp(8, 4, 8, 1, runs, 256)),
        Odd("odd_width.bmp", encoded(picture(size=(37, 5)), "BMP")),
        Odd("png_inside.bmp", _bmp(8, 4, 0, 5, encoded(picture(size=(8, 4)), "PNG")), "cannot be decoded"),
        Odd("cut.bmp", plain[: len(plain) // 2], "truncated", in_data=True),
    ]


def _bmp(width: int, height: int, bits: int, compression: int, data: bytes, colors: int = 0, masks: tuple = ()) -> bytes:
    palette = b"".join(struct.pack("<BBBx", i * 3 % 256, i * 5 % 256, i * 7 % 256) for i in range(colors))
    palette += b"".join(struct.pack("<I", mask) for mask in masks)
    start = 54 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 2835, 2835, colors, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def _tiffs() -> list:
    rgb, gray = picture(), picture("L")
    raw, plain = np.asarray(rgb), encoded(rgb, "TIFF")
    separate = [raw[:, :, i].tobytes() for i in range(3)]
    kinds = {"lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate", "packbits": "packbits", "jpeg": "jpeg"}
    files = [Odd(f"{name}.tif", encoded(rgb, "TIFF", compression=kind)) for name, kind in kinds.items()]
    files += [Odd(f"gray_{name}.tiff", encoded(gray, "TIFF", compression=kind)) for name, kind in kinds.items()]
    files += [Odd(f"rgba_{name}.tiff", encoded(picture("RGBA"), "TIFF", compression=kinds[name])) for name in ("lzw", "deflate")]
    files += [Odd(f"palette_{name}.tif", encoded(picture("P"), "TIFF", compression=kinds[name])) for name in ("lzw", "packbits")]
    files += [Odd(f"turned_{i}.tif", encoded(rgb, "TIFF", tiffinfo={LEFT_TO_RIGHT: i})) for i in range(2, 9)]
    files += [Odd(f"turned_{i}_lzw.tif", encoded(rgb, "TIFF", tiffinfo={LEFT_TO_RIGHT: i}, compression="tiff_lzw")) for i in (3, 6)]
    four = {258: (8,) * 4, 277: 4}
    tiles = [np.pad(raw, ((0, 2), (0, 8), (0, 0)))[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    files += [
        Odd("plain.tif", plain),
        Odd("upper.TIFF", plain),
        Odd("tiff_named.jpg", plain),
        Odd("gray.tif", encoded(gray, "TIFF")),
        Odd("palette.tif", encoded(picture("P"), "TIFF")),
        Odd("rgba.tif", encoded(picture("RGBA"), "TIFF")),
        Odd("big_endian.tif", _tiff([raw.tobytes()], order=">")),
        Odd("strips.tif", _tiff([raw[y : y + 7].tobytes() for y in range(0, 30, 7)], {278: 7})),
        Odd("tiles.tif", _tiff(tiles, {322: 16, 323: 16})),
        Odd("planes.tif", _tiff(separate, {284: 2})),
        Odd("white_is_zero.tif", _tiff([np.asarray(gray).tobytes()], {262: 0, 258: 8, 277: 1})),
        Odd("pages.tif", encoded(rgb, "TIFF", save_all=True, append_images=[picture(size=(10, 10))])),
        Odd("big.tif", encoded(rgb, "TIFF", big_tiff=True)),
        Odd("fourth_sample.tif", _tiff([np.dstack([raw, raw[:, :, :1]]).tobytes()], {**four, 338: 0})),
        Odd("premultiplied.tif", _tiff([np.dstack([raw // 2, raw[:, :, :1]]).tobytes()], {**four, 338: 1})),
        Odd("five_samples.tif", _tiff([bytes(40 * 30 * 5)], {258: (8,) * 5, 277: 5, 338: (2, 0)}), "TIFF"),
        Odd("gray_alpha.tif", encoded(picture("LA"), "TIFF"), "TIFF"),
        Odd("reversed_bits.tif", _tiff([raw.tobytes()], {266: 2}), "TIFF"),
        Odd("signed.tif", _tiff([raw.tobytes()], {339: (2, 2, 2)}), ""),
        Odd("one_pixel.tif", encoded(picture(size=(1, 1)), "TIFF")),
        Odd("float.tif", encoded(picture("F"), "TIFF"), "TIFF"),
        Odd("int32.tif", encoded(picture("I"), "TIFF"), "TIFF"),
        Odd("gray_16.tif", encoded(picture("I;16"), "TIFF"), "TIFF"),
        Odd("rgb_16.tif", _tiff([np.zeros(40 * 30 * 3, np.uint16).tobytes()], {258: (16, 16, 16)}), "TIFF"),
        Odd("one_bit.tif", encoded(picture("1"), "TIFF"), "TIFF"),
        Odd("fax.tif", encoded(picture("1"), "TIFF", compression="group4"), "TIFF"),
        Odd("cmyk.tif", encoded(picture("CMYK"), "TIFF"), "TIFF"),
        Odd("lab.tif", encoded(picture("LAB"), "TIFF"), "TIFF"),
        Odd("lzma.tif", _tiff([bytes(100)], {259: 34925}), "TIFF"),
        Odd("zstd.tif", _tiff([bytes(100)], {259: 50000}), "TIFF"),
        Odd("webp_inside.tif", _tiff([bytes(100)], {259: 50001}), "TIFF"),
        Odd("huge.tif", _tiff([bytes(100)], {256: 60000, 257: 60000}), "pixels"),
        Odd("wide_65501.tif", _tiff([bytes(65501 * 3)], {256: 65501, 257: 1, 278: 1}), "65501"),
        Odd("cut.tif", _tiff([raw.tobytes()])[:-500], "", in_data=True),
    ]
    return files


def _tiff(parts: list, changes: Optional[dict] = None, order: str = "<") -> bytes:
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


def _webps() -> list:
    rgb, lossy = picture(), encoded(picture(), "WEBP", quality=80)
    return [
        Odd("lossy.webp", lossy),
        Odd("webp_named.jpg", lossy),
        Odd("lossless.webp", encoded(rgb, "WEBP", lossless=True)),
        Odd("alpha.webp", encoded(picture("RGBA"), "WEBP", quality=80)),
        Odd("alpha_lossless.webp", encoded(picture("RGBA"), "WEBP", lossless=True, exact=True)),
        Odd("turned.webp", encoded(rgb, "WEBP", exif=exif(6))),
        Odd("gray.webp", encoded(picture("L"), "WEBP")),
        Odd("one_pixel.webp", encoded(picture(size=(1, 1)), "WEBP")),
        Odd("animated.webp", encoded(rgb, "WEBP", save_all=True, append_images=[rgb.rotate(180)]), "animation"),
        Odd("cut.webp", lossy[: len(lossy) // 2], ""),
    ]


def _others() -> list:
    rgb = picture()
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"
    return [
        Odd("gif_named.jpg", encoded(rgb, "GIF"), "GIF"),
        Odd("avif_named.jpg", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1" + bytes(200), "AVIF"),
        Odd("heic_named.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), "HEIF"),
        Odd("jpeg2000_named.jpg", encoded(rgb, "JPEG2000"), "JPEG 2000"),
        Odd("codestream_named.jpg", encoded(rgb, "JPEG2000", no_jp2=True), "JPEG 2000"),
        Odd("ico_named.png", encoded(rgb.resize((16, 16)), "ICO"), "is not an image"),
        Odd("tga_named.jpg", encoded(rgb, "TGA"), "is not an image"),
        Odd("ppm_named.png", encoded(rgb, "PPM"), "is not an image"),
        Odd("holiday.jpg", eps, "PostScript"),
        Odd("pdf_named.jpg", encoded(rgb, "PDF"), "PDF"),
        Odd("svg_named.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is not an image"),
        Odd("psd_named.tif", b"8BPS\0\1" + bytes(100), "is not an image"),
        Odd("dds_named.png", encoded(picture("RGBA"), "DDS"), "is not an image"),
        Odd("sgi_named.png", encoded(rgb, "SGI"), "is not an image"),
    ]
