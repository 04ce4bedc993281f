"""Image files of odd kinds, made by Pillow and by hand: what is inside decides, whatever the name says."""

import io
import struct
import zlib

import numpy as np
from photos import photo
from PIL import Image, TiffImagePlugin

WIDTH, HEIGHT = 53, 37


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pictures() -> dict:
    """One photo in the modes of Pillow."""
    rgb = Image.fromarray(photo(WIDTH, HEIGHT, 3))
    alpha = Image.fromarray(photo(WIDTH, HEIGHT, 4)[..., 0])
    rgba = rgb.copy()
    rgba.putalpha(alpha)
    gray = rgb.convert("L")
    deep = Image.fromarray((np.asarray(gray, np.uint16) << 8) + np.arange(WIDTH, dtype=np.uint16))
    return {
        "RGB": rgb, "RGBA": rgba, "L": gray, "LA": rgba.convert("LA"), "1": rgb.convert("1"), "P": rgb.quantize(100),
        "P16": rgb.quantize(16), "P2": rgb.quantize(2), "CMYK": rgb.convert("CMYK"), "YCbCr": rgb.convert("YCbCr"),
        "I;16": deep, "F": gray.convert("F"),
        "I": gray.convert("I"),
    }  # fmt: skip


def bmp(bits: int, rows: bytes, *, colors=(), compression=0, masks=b"", size=40, height=HEIGHT, width=WIDTH) -> bytes:
    """A BMP of the given rows. colors: (blue, green, red) of the palette; `masks` go behind the first 40 bytes."""
    if size == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
        palette = b"".join(bytes(color) for color in colors)
    else:
        head = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, len(rows), 0, 0, len(colors), 0)
        head += masks if size == 40 else masks.ljust(size - 40, b"\0")
        palette = b"".join(bytes((*color, 0)) for color in colors)
    offset = 14 + len(head) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(rows), 0, 0, offset) + head + palette + rows


def bmp_rows(values: np.ndarray, bits: int) -> bytes:
    """Rows of integers, the last row first, each padded to four bytes."""
    rows = []
    for row in values[::-1]:
        if bits < 8:
            places = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
            packed = np.packbits(places.astype(np.uint8).ravel()).tobytes()
        else:
            packed = row.astype("<u4").view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()
        rows.append(packed + bytes(-len(packed) % 4))
    return b"".join(rows)


def rle8(values: np.ndarray) -> bytes:
    """Runs, literal pixels, steps and ends of lines."""
    data = b""
    for number, row in enumerate(values[::-1]):
        if number == 5:
            data += b"\0\2\0\1"  # a line left out
            continue
        half = len(row) // 2
        for value in row[:half]:
            data += bytes((1, value))
        rest = row[half:].tobytes()
        data += bytes((0, len(rest))) + rest + bytes(len(rest) % 2) + b"\0\0"
    return data + b"\0\1"


def rle4(values: np.ndarray) -> bytes:
    data = b""
    for row in values[::-1] & 15:
        data += bytes((3, int(row[0]) << 4 | int(row[1])))
        rest = [*row[3:], 0]
        packed = bytes(int(a) << 4 | int(b) for a, b in zip(rest[0:-1:2], rest[1::2]))
        data += bytes((0, len(row) - 3)) + packed + bytes(len(packed) % 2) + b"\0\0"
    return data + b"\0\1"


def bmps() -> dict:
    random = np.random.default_rng(1)
    indices = random.integers(0, 256, (HEIGHT, WIDTH))
    words = random.integers(0, 1 << 32, (HEIGHT, WIDTH), dtype=np.uint32)
    colors = [tuple(color) for color in random.integers(0, 256, (256, 3)).tolist()]
    pictures_ = pictures()
    files = {f"bmp_{mode}": saved(pictures_[mode], "BMP") for mode in ("RGB", "RGBA", "L", "1", "P", "P16")}
    for bits in (1, 4, 8):
        rows = bmp_rows(indices % (1 << bits), bits)
        files[f"bmp_{bits}_bits"] = bmp(bits, rows, colors=colors[: 1 << bits])
        files[f"bmp_{bits}_bits_os2"] = bmp(bits, rows, colors=colors[: 1 << bits], size=12)
    files["bmp_short_palette"] = bmp(8, bmp_rows(indices, 8), colors=colors[:90])
    for bits in (16, 24, 32):
        files[f"bmp_{bits}_bits"] = bmp(bits, bmp_rows(words, bits))
        files[f"bmp_{bits}_bits_top_down"] = bmp(bits, bmp_rows(words, bits), height=-HEIGHT)
        files[f"bmp_{bits}_bits_os2"] = bmp(bits, bmp_rows(words, bits), size=12)
    for name, bits, masks in (
        ("565", 16, (0xF800, 0x7E0, 0x1F)), ("555", 16, (0x7C00, 0x3E0, 0x1F)), ("bgr", 24, (0xFF0000, 0xFF00, 0xFF)),
        ("bgrx", 32, (0xFF0000, 0xFF00, 0xFF)), ("xbgr", 32, (0xFF000000, 0xFF0000, 0xFF00)),
        ("bgxr", 32, (0xFF000000, 0xFF00, 0xFF)),
    ):  # fmt: skip
        files[f"bmp_masks_{name}"] = bmp(bits, bmp_rows(words, bits), compression=3, masks=struct.pack("<3I", *masks))
    for name, masks in (
        ("rgba", (0xFF, 0xFF00, 0xFF0000, 0xFF000000)), ("bgra", (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        ("abgr", (0xFF000000, 0xFF0000, 0xFF00, 0xFF)), ("bgar", (0xFF000000, 0xFF00, 0xFF, 0xFF0000)), ("none", (0,) * 4),
    ):  # fmt: skip
        rows = bmp_rows(words, 32)
        files[f"bmp_masks_{name}"] = bmp(32, rows, compression=3, masks=struct.pack("<4I", *masks), size=108)
    files["bmp_rle8"] = bmp(8, rle8(indices.astype(np.uint8)), colors=colors, compression=1)
    files["bmp_rle4"] = bmp(4, rle4(indices), colors=colors[:16], compression=2)
    gray = [(i, i, i) for i in range(256)]
    files["bmp_short_gray_palette"] = bmp(8, bmp_rows(indices, 8), colors=gray[:90])
    files["bmp_rle4_gray"] = bmp(4, rle4(indices), colors=gray[:16], compression=2)
    files["bmp_one_color"] = bmp(1, bmp_rows(indices % 2, 1), colors=gray[:1])
    files["bmp_rle8_gray"] = bmp(8, rle8(indices.astype(np.uint8)), colors=gray, compression=1)
    files["bmp_without_the_last_padding"] = bmp(24, bmp_rows(words, 24)[:-1])
    return files


def tiff(image: Image.Image, **tags) -> bytes:
    """A TIFF with further tags, `t274=6` for number 274."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    options = {key: value for key, value in tags.items() if not key.startswith("t")}
    for key, value in tags.items():
        if key.startswith("t"):
            info[int(key[1:])] = value
    return saved(image, "TIFF", tiffinfo=info, **options)


def raw_tiff(entries: dict, data: bytes) -> bytes:
    """A little-endian TIFF whose data stand behind the header; entries: tag -> (type 3 or 4, values)."""
    start = 8 + len(data) + len(data) % 2
    extra, body = b"", b""
    after = start + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}{'HI'[kind - 3]}", *values)
        if len(packed) > 4:
            place, extra = struct.pack("<I", after + len(extra)), extra + packed
        else:
            place = packed.ljust(4, b"\0")
        body += struct.pack("<HHI", tag, kind, len(values)) + place
    head = struct.pack("<2sHI", b"II", 42, start) + data + bytes(len(data) % 2)
    return head + struct.pack("<H", len(entries)) + body + bytes(4) + extra


def big_endian_tiff(pixels: np.ndarray) -> bytes:
    height, width, _ = pixels.shape
    start = 8 + pixels.size + pixels.size % 2
    bits = start + 2 + 12 * 8 + 4  # where the three numbers of bits stand
    entries = [
        (256, 4, 1, struct.pack(">I", width)), (257, 4, 1, struct.pack(">I", height)), (258, 3, 3, struct.pack(">I", bits)),
        (259, 3, 1, b"\0\1\0\0"), (262, 3, 1, b"\0\2\0\0"), (273, 4, 1, struct.pack(">I", 8)), (277, 3, 1, b"\0\3\0\0"),
        (279, 4, 1, struct.pack(">I", pixels.size)),
    ]  # fmt: skip
    directory = b"".join(struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    data = pixels.tobytes() + bytes(pixels.size % 2)
    head = struct.pack(">2sHI", b"MM", 42, start) + data + struct.pack(">H", len(entries))
    return head + directory + bytes(4) + struct.pack(">3H", 8, 8, 8)


def tiled_tiff(pixels: np.ndarray, side: int, compress: bool, planar: bool = False) -> bytes:
    """RGB in tiles of side x side, in one or three planes."""
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge")
    blocks = []
    for plane in ([0], [1], [2]) if planar else ([0, 1, 2],):
        for top in range(0, height, side):
            for left in range(0, width, side):
                block = padded[top : top + side, left : left + side][..., plane].tobytes()
                blocks.append(zlib.compress(block) if compress else block)
    offsets = np.cumsum([8] + [len(block) for block in blocks[:-1]]).tolist()
    entries = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [8, 8, 8]), 259: (3, [8 if compress else 1]), 262: (3, [2]),
        277: (3, [3]), 284: (3, [2 if planar else 1]), 322: (4, [side]), 323: (4, [side]), 324: (4, offsets),
        325: (4, [len(block) for block in blocks]),
    }  # fmt: skip
    return raw_tiff(entries, b"".join(blocks))


def tiffs() -> dict:
    images = pictures()
    files = {}
    for mode in ("RGB", "RGBA", "L", "P"):
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"):
            files[f"tiff_{mode}_{compression}"] = saved(images[mode], "TIFF", compression=compression)
    for mode in ("RGB", "L", "YCbCr"):
        files[f"tiff_{mode}_jpeg"] = saved(images[mode], "TIFF", compression="jpeg", quality=80)
    files["tiff_predictor"] = tiff(images["RGB"], compression="tiff_lzw", t317=2)
    files["tiff_white_is_zero"] = tiff(images["L"], t262=0)
    files["tiff_big_endian"] = big_endian_tiff(np.asarray(images["RGB"]))
    files["tiff_bigtiff"] = saved(images["RGB"], "TIFF", big_tiff=True)
    files["tiff_strips"] = tiff(images["RGB"], compression="tiff_lzw", t278=5)
    files["tiff_pages"] = saved(images["RGB"], "TIFF", save_all=True, append_images=[images["L"], images["1"]])
    pixels = np.asarray(images["RGB"])
    for planar in (False, True):
        for compress in (False, True):
            files[f"tiff_tiles_{planar}_{compress}"] = tiled_tiff(pixels, 16, compress, planar)
    premultiplied = np.asarray(images["RGBA"]).copy()
    premultiplied[0, :9, 3] = (0, 1, 2, 3, 127, 128, 200, 254, 255)
    for extra in (0, 1, 2):
        entries = {
            256: (4, [WIDTH]), 257: (4, [HEIGHT]), 258: (3, [8] * 4), 259: (3, [1]), 262: (3, [2]), 273: (4, [8]),
            277: (3, [4]), 278: (4, [HEIGHT]), 279: (4, [premultiplied.size]), 338: (3, [extra]),
        }  # fmt: skip
        files[f"tiff_extra_{extra}"] = raw_tiff(entries, premultiplied.tobytes())
    return files


def others() -> dict:
    images = pictures()
    files = {f"jpeg_{mode}": saved(images[mode], "JPEG", quality=85) for mode in ("RGB", "L", "CMYK")}
    files["jpeg_progressive"] = saved(images["RGB"], "JPEG", progressive=True)
    files["jpeg_one_pixel"] = saved(images["RGB"].crop((0, 0, 1, 1)), "JPEG")
    files["jpeg_strip"] = saved(Image.fromarray(photo(300, 7, 1)), "JPEG")
    for mode in ("RGB", "RGBA", "L", "LA", "1", "P", "P16", "P2", "I;16"):
        files[f"png_{mode}"] = saved(images[mode], "PNG")
    files["png_without_end"] = files["png_RGB"][:-12]
    files["png_with_half_an_end"] = files["png_RGB"][:-5]
    last = files["jpeg_progressive"].rindex(b"\xff\xda")
    scans = 100 * files["jpeg_progressive"][last:-2]
    files["jpeg_of_many_scans"] = files["jpeg_progressive"][:last] + scans + b"\xff\xd9"
    files["png_transparent_color"] = saved(images["RGB"], "PNG", transparency=(1, 2, 3))
    for mode in ("RGB", "RGBA", "L", "P"):
        files[f"webp_{mode}"] = saved(images[mode], "WEBP", quality=75)
        files[f"webp_{mode}_lossless"] = saved(images[mode], "WEBP", lossless=True, exact=True)
    files["webp_with_exif"] = saved(images["RGB"], "WEBP", exif=Image.Exif().tobytes() or b"Exif\0\0")
    return files


def refused() -> dict:
    """Name -> (content, part of the reason)."""
    images = pictures()
    files = {name: (saved(images[mode], kind, **options), reason) for name, mode, kind, options, reason in (
        ("gif", "P", "GIF", {}, "is a GIF file"),
        ("avif", "RGB", "AVIF", {}, "is a AVIF file"),
        ("jpeg2000", "RGB", "JPEG2000", {}, "is a JPEG 2000 file"),
        ("ico", "RGBA", "ICO", {}, "is a Windows icon file"),
        ("tga", "RGB", "TGA", {}, "is not an image"),
        ("eps", "RGB", "EPS", {}, "is a PostScript file"),
        ("ppm", "RGB", "PPM", {}, "is not an image"),
        ("tiff_float", "F", "TIFF", {}, "32 bits per sample of format 3"),
        ("tiff_int32", "I", "TIFF", {}, "32 bits per sample"),
        ("tiff_16", "I;16", "TIFF", {}, "16 bits per sample"),
        ("tiff_1", "1", "TIFF", {}, "1 bits per sample"),
        ("tiff_fax", "1", "TIFF", {"compression": "group4"}, "the compression 4"),
        ("tiff_cmyk", "CMYK", "TIFF", {}, "photometric interpretation 5"),
    )}  # fmt: skip
    turned = images["RGB"].rotate(90)
    files["webp_animation"] = (saved(images["RGB"], "WEBP", save_all=True, append_images=[turned]), "is an animation")
    entries = {256: (4, [2]), 257: (4, [2]), 258: (3, [8]), 262: (3, [1]), 273: (4, [8]), 279: (4, [4])}
    for number in (6, 32946 + 1, 34925, 50000, 50001):  # old JPEG, unknown, LZMA, Zstandard, WebP
        files[f"tiff_compression_{number}"] = (raw_tiff({**entries, 259: (3, [number])}, b"1234"), f"compression {number}")
    files["tiff_lab"] = (tiff(images["RGB"], t262=8), "photometric interpretation 8")
    for name, content in (("jpeg", saved(images["RGB"], "JPEG", quality=95)), ("png", saved(images["RGB"], "PNG")),
                          ("webp", saved(images["RGB"], "WEBP")), ("bmp", saved(images["RGB"], "BMP")),
                          ("tiff", saved(images["RGB"], "TIFF", compression="tiff_lzw")[:-400] + bytes(400)),
                          ("bmp_rle", bmps()["bmp_rle8"])):  # fmt: skip
        files[f"cut_{name}"] = (content if name == "tiff" else content[: len(content) * 2 // 3], "")
    png = saved(images["RGB"], "PNG")
    files["png_cut_in_its_last_data"] = (png[:-18], "the data ends too early")
    for name, size in (("png_of_a_million_columns", (1_000_000, 1)), ("png_of_179_million_pixels", (13378, 13378))):
        files[name] = (b"".join([png[:16], struct.pack(">II", *size), png[24:29],
                                 struct.pack(">I", zlib.crc32(b"IHDR" + struct.pack(">II", *size) + png[24:29])),
                                 png[33:]]), "more pixels than is safe")  # fmt: skip
    progressive = saved(images["RGB"], "JPEG", progressive=True)
    last = progressive.rindex(b"\xff\xda")
    scans = 5000 * progressive[last:-2]
    files["jpeg_of_5000_scans"] = (progressive[:last] + scans + progressive[-2:], "more than 500 scans")
    files["bmp_bits_2"] = (bmp(2, bytes(4000)), "2 bits per pixel")
    files["bmp_jpeg"] = (bmp(24, bytes(9000), compression=4), "the BMP compression 4")
    files["bmp_masks_odd"] = (bmp(16, bytes(9000), compression=3, masks=struct.pack("<3I", 0xF00, 0xF0, 0xF)), "bit fields")
    files["bmp_header_odd"] = (bmp(24, bytes(9000), size=44), "a BMP header of 44 bytes")
    files["bmp_no_rows"] = (bmp(24, bytes(9000), height=0), "has no pixels")
    return files
