"""Images as people have them and as attackers make them: every format and variant, with the verdict that all readers share.

    for odd in odd_images(): (folder / odd.name).write_bytes(odd.content)

`tests/unit/test_odd_images.py` drives them through Python, `tests/cpp` through the C++ program.
"""

import struct
import zlib
from typing import NamedTuple, Optional

import numpy as np
from image_bytes import (
    ORIENTATION,
    bmp,
    encoded,
    exif,
    interlaced_png,
    picture,
    png,
    png_chunk,
    png_header,
    tiff,
    with_chunk,
    with_frame_byte,
    with_scans,
    with_segment,
    with_size,
    without_segment,
)
from PIL import Image, ImageCms


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
        Odd("cmyk_plain.jpg", without_segment(encoded(picture("CMYK"), "JPEG"), 0xEE)),
        Odd("ycck.jpg", encoded(picture("CMYK"), "JPEG").replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2")),
        Odd("rgb.jpg", encoded(rgb, "JPEG", keep_rgb=True)),
        Odd("restarts.jpg", encoded(rgb, "JPEG", restart_marker_blocks=2)),
        Odd("icc.jpg", encoded(rgb, "JPEG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())),
        Odd("comment.jpg", encoded(rgb, "JPEG", comment=b"\xff\xda" * 600)),
        Odd("thumbnail.jpg", with_segment(plain, 0xE2, plain * 3)),
        Odd("after_the_end.jpg", plain + b"\xff\xda" * 1000),
        Odd("two_in_one.jpg", encoded(rgb, "MPO", save_all=True, append_images=[picture(size=(20, 20))])),
        Odd("strip_300x7.jpg", encoded(picture(size=(300, 7)), "JPEG")),
        Odd("strip_7x300.jpg", encoded(picture(size=(7, 300)), "JPEG", progressive=True)),
        Odd("one_pixel.jpg", encoded(picture(size=(1, 1)), "JPEG")),
        Odd("one_row.jpg", encoded(picture("L", size=(90, 1)), "JPEG")),
        Odd("scans_200.jpg", with_scans(progressive, 200)),
        Odd("scans_501.jpg", with_scans(progressive, 501), "scans"),
        Odd("scans_5000.jpg", with_scans(progressive, 5000), "scans"),
        Odd("wide_65501.jpg", with_size(plain, 65501, 30), "65501"),
        Odd("huge.jpg", with_size(plain, 60000, 60000), "pixels"),
        Odd("precise.jpg", with_frame_byte(plain, 0, 12), "cannot be decoded"),
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
        Odd("gray_alpha_16.png", png(40, 30, 16, 4, np.dstack([deep, deep[::-1]]))),
        Odd("rgb_16.png", png(40, 30, 16, 2, np.dstack([deep, deep[::-1], deep[:, ::-1]]))),
        Odd("rgba_16.png", png(40, 30, 16, 6, np.dstack([deep, deep[::-1], deep[:, ::-1], deep]))),
        Odd("gamma.png", with_chunk(plain, b"gAMA", struct.pack(">I", 100000))),
        Odd("gamma_steep.png", with_chunk(plain, b"gAMA", struct.pack(">I", 20000))),
        Odd("icc.png", encoded(rgb, "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())),
        Odd("background.png", with_chunk(encoded(picture("RGBA"), "PNG"), b"bKGD", struct.pack(">HHH", 9, 200, 9))),
        Odd("significant_bits.png", with_chunk(plain, b"sBIT", b"\5\6\5")),
        Odd("no_end.png", plain[:-12]),
        Odd("after_the_end.png", plain + b"more"),
        Odd("animated.png", encoded(rgb, "PNG", **frames)),
        Odd("one_pixel.png", encoded(picture(size=(1, 1)), "PNG")),
        Odd("strip.png", encoded(picture(size=(1, 200)), "PNG")),
        Odd("interlaced.png", interlaced_png(np.asarray(picture(size=(9, 5))))),
        Odd("wide_65501.png", encoded(Image.new("1", (65501, 1)), "PNG"), "65501"),
        Odd("one_million_by_1.png", encoded(Image.new("1", (1_000_000, 1)), "PNG"), "1000000"),
        Odd(
            "huge.png",
            png_header(60000, 60000) + png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND"),
            "pixels",
        ),
        Odd("cut.png", plain[: len(plain) // 2], "", in_data=True),
        Odd("bad_checksum.png", plain[:-20] + b"\0\0\0\0" + plain[-16:], "", in_data=True),
        Odd("bad_header.png", plain[:20] + b"\7" + plain[21:], ""),
    ]
    for depth in (1, 2, 4):
        data = np.arange(5 * 8, dtype=np.uint8).reshape(5, 8)[:, :depth] * 37
        files.append(Odd(f"gray_{depth}.png", png(8, 5, depth, 0, data)))
        files.append(Odd(f"palette_{depth}.png", png(8, 5, depth, 3, data, png_chunk(b"PLTE", palette[: 3 * 2**depth]))))
    return files + [Odd(f"turned_{i}.png", encoded(rgb, "PNG", exif=exif(i))) for i in (3, 6)]


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
        Odd("palette_4.bmp", bmp(8, 4, 4, 0, bytes(range(16)), 16)),
        Odd("rgba.bmp", encoded(picture("RGBA"), "BMP")),
        Odd("top_down.bmp", plain[:22] + high + plain[26:]),
        Odd("rgb_555.bmp", bmp(6, 4, 16, 0, bytes(range(48)))),
        Odd("rgb_565.bmp", bmp(6, 4, 16, 3, bytes(range(48)), masks=(0xF800, 0x7E0, 0x1F))),
        Odd("runs.bmp", bmp(8, 4, 8, 1, runs, 256)),
        Odd("odd_width.bmp", encoded(picture(size=(37, 5)), "BMP")),
        Odd("png_inside.bmp", bmp(8, 4, 0, 5, encoded(picture(size=(8, 4)), "PNG")), "cannot be decoded"),
        Odd("cut.bmp", plain[: len(plain) // 2], "truncated", in_data=True),
    ]


def _tiffs() -> list:
    rgb, gray = picture(), picture("L")
    raw, plain = np.asarray(rgb), encoded(rgb, "TIFF")
    separate = [raw[:, :, i].tobytes() for i in range(3)]
    kinds = {"lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate", "packbits": "packbits", "jpeg": "jpeg"}
    files = [Odd(f"{name}.tif", encoded(rgb, "TIFF", compression=kind)) for name, kind in kinds.items()]
    files += [Odd(f"gray_{name}.tiff", encoded(gray, "TIFF", compression=kind)) for name, kind in kinds.items()]
    files += [
        Odd(f"rgba_{name}.tiff", encoded(picture("RGBA"), "TIFF", compression=kinds[name])) for name in ("lzw", "deflate")
    ]
    files += [
        Odd(f"palette_{name}.tif", encoded(picture("P"), "TIFF", compression=kinds[name])) for name in ("lzw", "packbits")
    ]
    files += [Odd(f"turned_{i}.tif", encoded(rgb, "TIFF", tiffinfo={ORIENTATION: i})) for i in range(2, 9)]
    files += [
        Odd(f"turned_{i}_lzw.tif", encoded(rgb, "TIFF", tiffinfo={ORIENTATION: i}, compression="tiff_lzw")) for i in (3, 6)
    ]
    four = {258: (8,) * 4, 277: 4}
    tiles = [np.pad(raw, ((0, 2), (0, 8), (0, 0)))[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    files += [
        Odd("plain.tif", plain),
        Odd("upper.TIFF", plain),
        Odd("tiff_named.jpg", plain),
        Odd("gray.tif", encoded(gray, "TIFF")),
        Odd("palette.tif", encoded(picture("P"), "TIFF")),
        Odd("rgba.tif", encoded(picture("RGBA"), "TIFF")),
        Odd("big_endian.tif", tiff([raw.tobytes()], order=">")),
        Odd("strips.tif", tiff([raw[y : y + 7].tobytes() for y in range(0, 30, 7)], {278: 7})),
        Odd("tiles.tif", tiff(tiles, {322: 16, 323: 16})),
        Odd("planes.tif", tiff(separate, {284: 2})),
        Odd("white_is_zero.tif", tiff([np.asarray(gray).tobytes()], {262: 0, 258: 8, 277: 1})),
        Odd("pages.tif", encoded(rgb, "TIFF", save_all=True, append_images=[picture(size=(10, 10))])),
        Odd("big.tif", encoded(rgb, "TIFF", big_tiff=True)),
        Odd("fourth_sample.tif", tiff([np.dstack([raw, raw[:, :, :1]]).tobytes()], {**four, 338: 0})),
        Odd("premultiplied.tif", tiff([np.dstack([raw // 2, raw[:, :, :1]]).tobytes()], {**four, 338: 1})),
        Odd("five_samples.tif", tiff([bytes(40 * 30 * 5)], {258: (8,) * 5, 277: 5, 338: (2, 0)}), "TIFF"),
        Odd("gray_alpha.tif", encoded(picture("LA"), "TIFF"), "TIFF"),
        Odd("reversed_bits.tif", tiff([raw.tobytes()], {266: 2}), "TIFF"),
        Odd("signed.tif", tiff([raw.tobytes()], {339: (2, 2, 2)}), ""),
        Odd("one_pixel.tif", encoded(picture(size=(1, 1)), "TIFF")),
        Odd("float.tif", encoded(picture("F"), "TIFF"), "TIFF"),
        Odd("int32.tif", encoded(picture("I"), "TIFF"), "TIFF"),
        Odd("gray_16.tif", encoded(picture("I;16"), "TIFF"), "TIFF"),
        Odd("rgb_16.tif", tiff([np.zeros(40 * 30 * 3, np.uint16).tobytes()], {258: (16, 16, 16)}), "TIFF"),
        Odd("one_bit.tif", encoded(picture("1"), "TIFF"), "TIFF"),
        Odd("fax.tif", encoded(picture("1"), "TIFF", compression="group4"), "TIFF"),
        Odd("cmyk.tif", encoded(picture("CMYK"), "TIFF"), "TIFF"),
        Odd("lab.tif", encoded(picture("LAB"), "TIFF"), "TIFF"),
        Odd("lzma.tif", tiff([bytes(100)], {259: 34925}), "TIFF"),
        Odd("zstd.tif", tiff([bytes(100)], {259: 50000}), "TIFF"),
        Odd("webp_inside.tif", tiff([bytes(100)], {259: 50001}), "TIFF"),
        Odd("huge.tif", tiff([bytes(100)], {256: 60000, 257: 60000}), "pixels"),
        Odd("wide_65501.tif", tiff([bytes(65501 * 3)], {256: 65501, 257: 1, 278: 1}), "65501"),
        Odd("cut.tif", tiff([raw.tobytes()])[:-500], "", in_data=True),
    ]
    return files


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
