// BMP as Pillow reads it (BmpImagePlugin.py): uncompressed 1, 4, 8, 16, 24 and 32 bits, bit fields, RLE4 and RLE8.
// Format: Microsoft's "Bitmap Header Types", [MS-WMF] 2.2.2, and OS/2's BITMAPCOREHEADER.
#include <algorithm>
#include <array>
#include <string>

#include "app_error.h"
#include "decode.h"

namespace resnet_zoo {

namespace {

constexpr size_t kFileHeader = 14;
enum Compression : uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3 };

// Bytes in order, little endian.
class Reader {
 public:
  explicit Reader(const std::vector<uint8_t>& bytes) : bytes_(bytes) {}

  uint32_t U8(size_t at) const {
    if (at >= bytes_.size()) throw AppError("is truncated or damaged");
    return bytes_[at];
  }
  uint32_t U16(size_t at) const { return U8(at) | U8(at + 1) << 8; }
  uint32_t U32(size_t at) const { return U16(at) | U16(at + 2) << 16; }
  bool Has(size_t at, size_t count) const { return at <= bytes_.size() && count <= bytes_.size() - at; }
  const uint8_t* At(size_t at) const { return bytes_.data() + at; }

 private:
  const std::vector<uint8_t>& bytes_;
};

struct Header {
  uint32_t width = 0, height = 0, bits = 0, compression = kRaw, colors = 0;
  bool top_down = false;
  std::array<uint32_t, 4> masks{};  // red, green, blue, alpha
  size_t entry = 4;                 // bytes of a palette's color
  size_t palette = 0, pixels = 0;   // where they start
};

std::array<uint32_t, 4> ReadMasks(const Reader& in, size_t header_size) {
  const size_t at = kFileHeader + 40;  // inside the larger headers, behind the one of 40 bytes
  return {in.U32(at), in.U32(at + 4), in.U32(at + 8), header_size >= 56 ? in.U32(at + 12) : 0};
}

Header ReadHeader(const Reader& in) {
  constexpr std::array<uint32_t, 7> kSizes = {12, 40, 52, 56, 64, 108, 124};
  Header header;
  const uint32_t size = in.U32(kFileHeader);
  if (std::find(kSizes.begin(), kSizes.end(), size) == kSizes.end()) {
    throw AppError("has a BMP header of " + std::to_string(size) + " bytes, which is unknown");
  }
  if (!in.Has(kFileHeader, size)) throw AppError("is truncated or damaged");
  header.palette = kFileHeader + size;
  if (size == 12) {
    header.width = in.U16(18);
    header.height = in.U16(20);
    header.bits = in.U16(24);
    header.entry = 3;
  } else {
    header.width = in.U32(18);
    header.top_down = in.U8(25) == 0xff;  // negative
    header.height = header.top_down ? 0U - in.U32(22) : in.U32(22);
    header.bits = in.U16(28);
    header.compression = in.U32(30);
    header.colors = in.U32(46);
    if (header.compression == kBitFields) {
      header.masks = ReadMasks(in, size);
      if (size == 40) header.palette += 12;
    }
  }
  if (header.bits <= 8 && header.colors == 0) header.colors = 1U << header.bits;
  if (header.bits <= 8 && header.colors > 256) throw AppError("has a palette of more than 256 colors");
  const size_t palette_size = header.bits <= 8 ? header.entry * header.colors : 0;
  header.pixels = in.U32(10);
  if (header.pixels == kFileHeader + size) header.pixels += palette_size;  // some writers leave the palette out
  if (header.pixels == 0) header.pixels = header.palette + palette_size;
  return header;
}

// The RGB values of 256 indices; those beyond the palette are black, beyond a gray one gray, as in Pillow.
std::array<std::array<uint8_t, 3>, 256> ReadPalette(const Reader& in, const Header& header) {
  std::array<std::array<uint8_t, 3>, 256> palette{};
  if (!in.Has(header.palette, header.entry * header.colors)) throw AppError("is truncated or damaged");
  bool gray = true;  // the colors are black and white, or the numbers themselves
  for (size_t i = 0; i < header.colors; ++i) {
    const uint8_t* color = in.At(header.palette + header.entry * i);
    palette[i] = {color[2], color[1], color[0]};
    const size_t shade = header.colors == 2 ? 255 * i : i;
    gray = gray && color[0] == shade && color[1] == shade && color[2] == shade;
  }
  // Pillow takes a gray palette for one of its gray modes, and then such files for 1 or 8 bits per pixel.
  const uint32_t bits = header.colors <= 2 ? 1 : 8;
  const bool rle = header.compression != kRaw;
  if (gray && (rle ? bits == 1 : bits != header.bits)) {
    throw AppError("has " + std::to_string(header.bits) + " bits per pixel, but a gray palette for " + std::to_string(bits));
  }
  if (gray && bits == 1) palette[1].fill(255);
  if (gray && bits == 8) {
    for (size_t i = 0; i < palette.size(); ++i) palette[i].fill(static_cast<uint8_t>(i));
  }
  return palette;
}

// Indices of an RLE4 or RLE8 image in the order of the file, as Pillow's BmpRleDecoder finds them.
std::vector<uint8_t> ReadRle(const Reader& in, const Header& header) {
  const size_t width = header.width, total = width * header.height;
  const bool rle4 = header.compression == kRle4;
  std::vector<uint8_t> data;
  data.reserve(total);
  size_t x = 0, at = header.pixels;
  while (data.size() < total && in.Has(at, 2)) {
    const size_t count = in.U8(at), value = in.U8(at + 1);
    at += 2;
    if (count) {
      const size_t fits = std::min(count, width > x ? width - x : 0);
      for (size_t i = 0; i < fits; ++i) {
        data.push_back(static_cast<uint8_t>(!rle4 ? value : i % 2 == 0 ? value >> 4 : value & 15));
      }
      x += fits;
    } else if (value == 0) {  // the line's end
      data.resize((data.size() + width - 1) / width * width);
      x = 0;
    } else if (value == 1) {  // the image's end
      break;
    } else if (value == 2) {  // a step right and up
      if (!in.Has(at, 2)) break;
      data.resize(data.size() + std::min(total - data.size(), in.U8(at) + in.U8(at + 1) * width));
      x = data.size() % width;
      at += 2;
    } else {  // so many pixels as they are, filled up to 16 bits
      const size_t literal = std::min(total - data.size(), value), size = rle4 ? (literal + 1) / 2 : literal;
      if (!in.Has(at, size)) break;
      for (size_t i = 0; i < literal; ++i) {
        const uint32_t byte = in.U8(at + (rle4 ? i / 2 : i));
        data.push_back(static_cast<uint8_t>(!rle4 ? byte : i % 2 == 0 ? byte >> 4 : byte & 15));
      }
      x += value;
      at += size;
      at += at % 2;
    }
  }
  if (data.size() < total) throw AppError("is truncated or damaged");
  data.resize(total);
  return data;
}

// Where red, green and blue lie in the bytes of a pixel of 24 or 32 bits.
std::array<size_t, 3> ByteOrder(const Header& header) {
  using Masks = std::array<uint32_t, 4>;
  constexpr std::array<Masks, 8> kKnown = {{{0xff0000, 0xff00, 0xff, 0},
                                            {0xff000000, 0xff0000, 0xff00, 0},
                                            {0xff000000, 0xff00, 0xff, 0},
                                            {0xff000000, 0xff0000, 0xff00, 0xff},
                                            {0xff, 0xff00, 0xff0000, 0xff000000},
                                            {0xff0000, 0xff00, 0xff, 0xff000000},
                                            {0xff000000, 0xff00, 0xff, 0xff0000},
                                            {0, 0, 0, 0}}};
  if (header.compression == kRaw) return {2, 1, 0};
  Masks masks = header.masks;
  if (header.bits == 24) masks[3] = 0;
  const auto end = header.bits == 24 ? kKnown.begin() + 1 : kKnown.end();
  if (std::find(kKnown.begin(), end, masks) == end) throw AppError("has an unknown layout of bit fields");
  if (masks == kKnown.back()) return {2, 1, 0};
  std::array<size_t, 3> order{};
  for (size_t c = 0; c < 3; ++c) {
    while (masks[c] >> (8 * order[c]) != 0xff) ++order[c];
  }
  return order;
}

// One row of 16 bits per pixel: 5 bits per color, or 6 of green.
void UnpackWords(const uint8_t* row, size_t width, bool green6, uint8_t* out) {
  for (size_t x = 0; x < width; ++x) {
    const uint32_t pixel = row[2 * x] | static_cast<uint32_t>(row[2 * x + 1]) << 8;
    *out++ = static_cast<uint8_t>((pixel >> (green6 ? 11 : 10) & 31) * 255 / 31);
    *out++ = static_cast<uint8_t>(green6 ? (pixel >> 5 & 63) * 255 / 63 : (pixel >> 5 & 31) * 255 / 31);
    *out++ = static_cast<uint8_t>((pixel & 31) * 255 / 31);
  }
}

bool HasSixGreenBits(const Header& header) {
  if (header.compression == kRaw) return false;
  const std::array<uint32_t, 3> masks = {header.masks[0], header.masks[1], header.masks[2]};
  if (masks == std::array<uint32_t, 3>{0xf800, 0x7e0, 0x1f}) return true;
  if (masks == std::array<uint32_t, 3>{0x7c00, 0x3e0, 0x1f}) return false;
  throw AppError("has an unknown layout of bit fields");
}

void CheckKind(const Header& header) {
  const uint32_t bits = header.bits;
  const bool palette = bits == 1 || bits == 4 || bits == 8, direct = bits == 16 || bits == 24 || bits == 32;
  if (!palette && !direct) throw AppError("has " + std::to_string(bits) + " bits per pixel, which BMP does not know");
  const bool known = header.compression == kRaw ||
                     (palette && (header.compression == kRle8 || header.compression == kRle4)) ||
                     (direct && header.compression == kBitFields);
  if (!known) {
    throw AppError("has the BMP compression " + std::to_string(header.compression) + " with " + std::to_string(bits) +
                   " bits per pixel, which is not read");
  }
}

// Rows of indices or colors, without the padding of the last one, which may be missing.
void Unpack(const Reader& in, const Header& header, Image* image) {
  const size_t width = header.width, height = header.height, bits = header.bits;
  const size_t stride = (width * bits + 31) / 32 * 4, used = (width * bits + 7) / 8;
  if (!in.Has(header.pixels, stride * (height - 1) + used)) throw AppError("is truncated or damaged");
  const auto palette = bits <= 8 ? ReadPalette(in, header) : std::array<std::array<uint8_t, 3>, 256>{};
  const bool green6 = bits == 16 && HasSixGreenBits(header);
  const auto order = bits >= 24 ? ByteOrder(header) : std::array<size_t, 3>{};
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* row = in.At(header.pixels + y * stride);
    uint8_t* out = image->pixels.data() + (header.top_down ? y : height - 1 - y) * width * 3;
    if (bits == 16) {
      UnpackWords(row, width, green6, out);
      continue;
    }
    for (size_t x = 0; x < width; ++x, out += 3) {
      if (bits <= 8) {
        const size_t bit = x * bits, index = row[bit / 8] >> (8 - bits - bit % 8) & ((1U << bits) - 1);
        std::copy(palette[index].begin(), palette[index].end(), out);
      } else {
        for (size_t c = 0; c < 3; ++c) out[c] = row[x * bits / 8 + order[c]];
      }
    }
  }
}

}  // namespace

Image DecodeBmp(const std::vector<uint8_t>& bytes) {
  const Reader in(bytes);
  const Header header = ReadHeader(in);
  CheckKind(header);
  CheckSize(header.width, header.height);
  const size_t width = header.width, height = header.height;
  Image image{static_cast<int>(width), static_cast<int>(height), std::vector<uint8_t>(width * height * 3)};
  if (header.compression != kRle8 && header.compression != kRle4) {
    Unpack(in, header, &image);
    return image;
  }
  const auto palette = ReadPalette(in, header);
  const auto data = ReadRle(in, header);
  for (size_t y = 0; y < height; ++y) {
    uint8_t* out = image.pixels.data() + (header.top_down ? y : height - 1 - y) * width * 3;
    for (size_t x = 0; x < width; ++x, out += 3) {
      const auto& color = palette[data[y * width + x]];
      std::copy(color.begin(), color.end(), out);
    }
  }
  return image;
}

}  // namespace resnet_zoo
