#include "decode.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

#include "app_error.h"

namespace resnet_zoo {

namespace {

bool StartsWith(const std::vector<uint8_t>& bytes, const char* magic, size_t size, size_t offset = 0) {
  return bytes.size() >= offset + size && std::memcmp(bytes.data() + offset, magic, size) == 0;
}

// The name of an image format that is known but not read.
const char* OtherFormat(const std::vector<uint8_t>& bytes) {
  struct Signature {
    const char *name, *magic;
    size_t size, offset;
  };
  constexpr std::array<Signature, 12> kOthers = {{{"GIF", "GIF8", 4, 0},
                                                  {"AVIF", "ftypavif", 8, 4},
                                                  {"AVIF", "ftypavis", 8, 4},
                                                  {"HEIF", "ftyp", 4, 4},
                                                  {"JPEG 2000", "\0\0\0\x0cjP  ", 8, 0},
                                                  {"JPEG 2000", "\xff\x4f\xff\x51", 4, 0},
                                                  {"JPEG XL", "\xff\x0a", 2, 0},
                                                  {"Windows icon", "\0\0\1\0", 4, 0},
                                                  {"Photoshop", "8BPS", 4, 0},
                                                  {"PostScript", "%!PS", 4, 0},
                                                  {"PDF", "%PDF", 4, 0},
                                                  {"DDS", "DDS ", 4, 0}}};
  const auto found = std::find_if(kOthers.begin(), kOthers.end(), [&](const Signature& other) {
    return StartsWith(bytes, other.magic, other.size, other.offset);
  });
  return found == kOthers.end() ? nullptr : found->name;
}

}  // namespace

void CheckSize(uint64_t width, uint64_t height) {
  constexpr uint64_t kMostPixels = 178956970;  // Pillow's limit for an error
  constexpr uint64_t kLongestSide = 65500;     // JPEG's own limit
  if (width == 0 || height == 0) throw AppError("has no pixels");
  if (width > kLongestSide || height > kLongestSide || width * height > kMostPixels) {
    throw AppError("has more pixels than is safe to decode (" + std::to_string(width) + " x " + std::to_string(height) +
                   ")");
  }
}

Image Decode(const std::vector<uint8_t>& bytes, bool pillow_cmyk) {
  if (bytes.empty()) throw AppError("is empty");
  if (StartsWith(bytes, "\xff\xd8\xff", 3)) return DecodeJpeg(bytes, pillow_cmyk);
  if (StartsWith(bytes, "\x89PNG\r\n\x1a\n", 8)) return DecodePng(bytes);
  if (StartsWith(bytes, "BM", 2)) return DecodeBmp(bytes);
  // "+" instead of "*": files of more than 4 GB, which may also be smaller.
  for (const char* magic : {"II*\0", "MM\0*", "II+\0", "MM\0+"}) {
    if (StartsWith(bytes, magic, 4)) return DecodeTiff(bytes);
  }
  if (StartsWith(bytes, "RIFF", 4) && StartsWith(bytes, "WEBP", 4, 8)) return DecodeWebp(bytes);
  if (const char* name = OtherFormat(bytes)) {
    throw AppError(std::string("is a ") + name + " file; JPEG, PNG, BMP, TIFF and WebP are read");
  }
  throw AppError("is not an image");
}

}  // namespace resnet_zoo
