#include "decode.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "app_error.h"

namespace resnet_zoo {

namespace {

bool StartsWith(const std::vector<uint8_t>& bytes, const char* magic, size_t size, size_t offset = 0) {
  return bytes.size() >= offset + size && std::memcmp(bytes.data() + offset, magic, size) == 0;
}

// The name of an image format that is known but not decoded here.
const char* OtherFormat(const std::vector<uint8_t>& bytes) {
  if (StartsWith(bytes, "BM", 2)) return "BMP";
  if (StartsWith(bytes, "GIF8", 4)) return "GIF";
  if (StartsWith(bytes, "II*\0", 4) || StartsWith(bytes, "MM\0*", 4)) return "TIFF";
  if (StartsWith(bytes, "RIFF", 4) && StartsWith(bytes, "WEBP", 4, 8)) return "WebP";
  return nullptr;
}

}  // namespace

void CheckSize(uint64_t width, uint64_t height) {
  constexpr uint64_t kMostPixels = 178956970;  // Pillow's limit for an error, so that both refuse the same files
  if (width == 0 || height == 0) throw AppError("has no pixels");
  if (width > 1U << 20 || height > 1U << 20 || width * height > kMostPixels) {
    throw AppError("has more pixels than is safe to decode");
  }
}

Image Decode(const std::vector<uint8_t>& bytes, bool pillow_cmyk) {
  if (bytes.empty()) throw AppError("is empty");
  if (StartsWith(bytes, "\xff\xd8\xff", 3)) return DecodeJpeg(bytes, pillow_cmyk);
  if (StartsWith(bytes, "\x89PNG\r\n\x1a\n", 8)) return DecodePng(bytes);
  if (const char* name = OtherFormat(bytes)) {
    throw AppError(std::string("is a ") + name + " file; this program decodes JPEG and PNG");
  }
  throw AppError("is not an image");
}

}  // namespace resnet_zoo
