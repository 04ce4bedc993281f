// TIFF by libtiff: the first page, 8 bits per sample, as Pillow turns it into RGB.
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>

#include <tiffio.h>

#include "app_error.h"
#include "decode.h"

namespace resnet_zoo {

namespace {

// libtiff's handlers are the process's own: each thread keeps the first message of its file.
thread_local std::string first_error;

void KeepError(const char* /*module*/, const char* format, va_list arguments) {
  if (!first_error.empty()) return;
  std::array<char, 200> message{};
  std::vsnprintf(message.data(), message.size(), format, arguments);
  first_error = message.data();
}

[[noreturn]] void Fail() {
  throw AppError("cannot be decoded (" + (first_error.empty() ? "no reason given" : Reason(first_error)) + ")");
}

// The file in memory.
struct Source {
  const uint8_t* bytes;
  uint64_t size, at;
};

tsize_t Read(thandle_t handle, tdata_t output, tsize_t wanted) {
  auto* source = static_cast<Source*>(handle);
  const uint64_t left = source->at < source->size ? source->size - source->at : 0;
  const uint64_t count = std::min(left, static_cast<uint64_t>(std::max<tsize_t>(wanted, 0)));
  if (count) std::memcpy(output, source->bytes + source->at, count);
  source->at += count;
  return static_cast<tsize_t>(count);
}

tsize_t RefuseToWrite(thandle_t, tdata_t, tsize_t) { return 0; }

toff_t Seek(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<Source*>(handle);
  source->at = offset + (whence == SEEK_SET ? 0 : whence == SEEK_CUR ? source->at : source->size);
  return source->at;
}

int Close(thandle_t) { return 0; }
toff_t Size(thandle_t handle) { return static_cast<Source*>(handle)->size; }

using Tiff = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

Tiff Open(Source* source) {
  static std::once_flag once;
  std::call_once(once, [] {
    TIFFSetErrorHandler(KeepError);
    TIFFSetWarningHandler(nullptr);
  });
  first_error.clear();
  // "m": no memory mapping, which Source has no functions for.
  return {TIFFClientOpen("image", "rm", source, Read, RefuseToWrite, Seek, Close, Size, nullptr, nullptr), TIFFClose};
}

template <typename Number>
Number Field(TIFF* tiff, uint32_t tag) {
  Number value{};
  if (!TIFFGetFieldDefaulted(tiff, tag, &value)) throw AppError("lacks the TIFF tag " + std::to_string(tag));
  return value;
}

// What the tags of the first page say.
struct Layout {
  uint32_t width = 0, height = 0;
  uint16_t samples = 1, photometric = 0, planar = PLANARCONFIG_CONTIG, compression = COMPRESSION_NONE;
  bool premultiplied = false;  // the fourth sample is alpha that the colors were multiplied by
};

std::string NameOf(uint16_t compression) {
  const TIFFCodec* codec = TIFFFindCODEC(compression);
  return std::to_string(compression) + (codec ? std::string(" (") + codec->name + ")" : "");
}

bool IsReadCompression(uint16_t compression) {
  constexpr std::array<uint16_t, 6> kRead = {COMPRESSION_NONE,    COMPRESSION_LZW,      COMPRESSION_ADOBE_DEFLATE,
                                             COMPRESSION_DEFLATE, COMPRESSION_PACKBITS, COMPRESSION_JPEG};
  return std::find(kRead.begin(), kRead.end(), compression) != kRead.end();
}

// Gray, palette, RGB or RGBA; JPEG keeps RGB as YCbCr.
void CheckKind(TIFF* tiff, Layout* layout) {
  const auto bits = Field<uint16_t>(tiff, TIFFTAG_BITSPERSAMPLE), format = Field<uint16_t>(tiff, TIFFTAG_SAMPLEFORMAT);
  if (bits != 8 || format != SAMPLEFORMAT_UINT) {
    throw AppError("is a TIFF file with " + std::to_string(bits) + " bits per sample of format " + std::to_string(format) +
                   "; 8 bits without sign (format 1) are read");
  }
  if (Field<uint16_t>(tiff, TIFFTAG_FILLORDER) != FILLORDER_MSB2LSB) throw AppError("is a TIFF file of reversed bits");
  uint16_t extra_count = 0;
  const uint16_t* extra = nullptr;
  if (!TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &extra_count, &extra)) extra_count = 0;
  const uint16_t photometric = layout->photometric, samples = layout->samples;
  const bool rgb =
      photometric == PHOTOMETRIC_RGB || (photometric == PHOTOMETRIC_YCBCR && layout->compression == COMPRESSION_JPEG &&
                                         samples == 3 && layout->planar == PLANARCONFIG_CONTIG);
  const bool one =
      photometric == PHOTOMETRIC_MINISBLACK || photometric == PHOTOMETRIC_MINISWHITE || photometric == PHOTOMETRIC_PALETTE;
  if (!(one && samples == 1) && !(rgb && (samples == 3 || samples == 4) && extra_count <= samples - 3)) {
    throw AppError("is a TIFF file of " + std::to_string(samples) + " samples with the photometric interpretation " +
                   std::to_string(photometric) + "; gray, palette, RGB and RGBA are read");
  }
  layout->premultiplied = extra_count == 1 && extra[0] == EXTRASAMPLE_ASSOCALPHA;
}

Layout ReadLayout(TIFF* tiff) {
  Layout layout;
  layout.width = Field<uint32_t>(tiff, TIFFTAG_IMAGEWIDTH);
  layout.height = Field<uint32_t>(tiff, TIFFTAG_IMAGELENGTH);
  CheckSize(layout.width, layout.height);
  layout.compression = Field<uint16_t>(tiff, TIFFTAG_COMPRESSION);
  if (!IsReadCompression(layout.compression)) {
    throw AppError("is a TIFF file with the compression " + NameOf(layout.compression) +
                   "; none, LZW, deflate, PackBits and JPEG are read");
  }
  layout.samples = Field<uint16_t>(tiff, TIFFTAG_SAMPLESPERPIXEL);
  layout.planar = Field<uint16_t>(tiff, TIFFTAG_PLANARCONFIG);
  if (!TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &layout.photometric)) layout.photometric = PHOTOMETRIC_MINISWHITE;
  CheckKind(tiff, &layout);
  if (layout.photometric == PHOTOMETRIC_YCBCR) TIFFSetField(tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
  return layout;
}

// Rows of a strip, or a tile: where it lies in the image and how many samples of a pixel it holds.
struct Block {
  uint32_t left, top, width, height;  // its own size, which may reach beyond the image
  size_t first_sample, samples;
};

void Place(const std::vector<uint8_t>& data, const Block& block, const Layout& layout, std::vector<uint8_t>* pixels) {
  const size_t rows = std::min(block.height, layout.height - block.top);
  const size_t columns = std::min(block.width, layout.width - block.left);
  for (size_t y = 0; y < rows; ++y) {
    const uint8_t* in = data.data() + y * block.width * block.samples;
    uint8_t* out = pixels->data() + ((block.top + y) * layout.width + block.left) * layout.samples + block.first_sample;
    if (block.samples == layout.samples) {
      std::memcpy(out, in, columns * block.samples);
    } else {
      for (size_t x = 0; x < columns; ++x) out[x * layout.samples] = in[x];
    }
  }
}

// All samples, pixel by pixel.
std::vector<uint8_t> ReadSamples(TIFF* tiff, const Layout& layout) {
  std::vector<uint8_t> pixels(static_cast<size_t>(layout.width) * layout.height * layout.samples);
  const bool tiled = TIFFIsTiled(tiff) != 0;
  uint32_t width = layout.width;
  uint32_t height = tiled ? Field<uint32_t>(tiff, TIFFTAG_TILELENGTH) : Field<uint32_t>(tiff, TIFFTAG_ROWSPERSTRIP);
  if (tiled) width = Field<uint32_t>(tiff, TIFFTAG_TILEWIDTH);
  if (!tiled) height = std::min(height, layout.height);
  CheckSize(width, height);
  const size_t planes = layout.planar == PLANARCONFIG_SEPARATE ? layout.samples : 1, samples = layout.samples / planes;
  std::vector<uint8_t> data(static_cast<size_t>(width) * height * samples);
  uint32_t number = 0;
  for (size_t plane = 0; plane < planes; ++plane) {
    for (uint32_t top = 0; top < layout.height; top += height) {
      for (uint32_t left = 0; left < layout.width; left += width, ++number) {
        const uint32_t rows = tiled ? height : std::min(height, layout.height - top);
        const auto size = static_cast<tsize_t>(static_cast<size_t>(width) * rows * samples);
        const tsize_t count = tiled ? TIFFReadEncodedTile(tiff, number, data.data(), size)
                                    : TIFFReadEncodedStrip(tiff, number, data.data(), size);
        if (count != size) Fail();
        Place(data, {left, top, width, rows, plane, samples}, layout, &pixels);
      }
    }
  }
  return pixels;
}

// The color before it was multiplied by alpha, as Pillow rounds.
uint8_t Unmultiplied(uint32_t color, uint32_t alpha) {
  return static_cast<uint8_t>(alpha == 0 ? 0 : std::min<uint32_t>(255, 255 * color / alpha));
}

std::array<std::array<uint8_t, 3>, 256> Palette(TIFF* tiff, const Layout& layout) {
  std::array<std::array<uint8_t, 3>, 256> palette{};
  uint16_t *red = nullptr, *green = nullptr, *blue = nullptr;
  const bool mapped = layout.photometric == PHOTOMETRIC_PALETTE;
  if (mapped && !TIFFGetField(tiff, TIFFTAG_COLORMAP, &red, &green, &blue)) throw AppError("lacks its palette");
  for (size_t i = 0; i < palette.size(); ++i) {
    const auto gray = static_cast<uint8_t>(layout.photometric == PHOTOMETRIC_MINISWHITE ? 255 - i : i);
    palette[i] = {gray, gray, gray};
    if (!mapped) continue;
    palette[i] = {static_cast<uint8_t>(red[i] >> 8), static_cast<uint8_t>(green[i] >> 8),
                  static_cast<uint8_t>(blue[i] >> 8)};
  }
  return palette;
}

}  // namespace

Image DecodeTiff(const std::vector<uint8_t>& bytes) {
  Source source{bytes.data(), bytes.size(), 0};
  const Tiff tiff = Open(&source);
  if (!tiff) Fail();
  const Layout layout = ReadLayout(tiff.get());
  std::vector<uint8_t> samples = ReadSamples(tiff.get(), layout);
  Image image{static_cast<int>(layout.width), static_cast<int>(layout.height), {}};
  if (layout.samples == 3) {
    image.pixels = std::move(samples);
    return image;
  }
  const size_t count = static_cast<size_t>(layout.width) * layout.height;
  image.pixels.resize(3 * count);
  const auto palette = layout.samples == 1 ? Palette(tiff.get(), layout) : std::array<std::array<uint8_t, 3>, 256>{};
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* in = samples.data() + i * layout.samples;
    for (size_t c = 0; c < 3; ++c) {
      image.pixels[3 * i + c] = layout.samples == 1    ? palette[in[0]][c]
                                : layout.premultiplied ? Unmultiplied(in[c], in[3])
                                                       : in[c];
    }
  }
  return image;
}

}  // namespace resnet_zoo
