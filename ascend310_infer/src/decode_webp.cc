#include <string>

#include <webp/decode.h>

#include "app_error.h"
#include "decode.h"

namespace resnet_zoo {

Image DecodeWebp(const std::vector<uint8_t>& bytes) {
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK) throw AppError("is truncated or damaged");
  if (features.has_animation) throw AppError("is an animation; only still WebP images are read");
  CheckSize(static_cast<uint64_t>(features.width), static_cast<uint64_t>(features.height));
  Image image{features.width, features.height, {}};
  const int stride = 3 * image.width;
  image.pixels.resize(static_cast<size_t>(stride) * static_cast<size_t>(image.height));
  if (!WebPDecodeRGBInto(bytes.data(), bytes.size(), image.pixels.data(), image.pixels.size(), stride)) {
    throw AppError("is truncated or damaged");
  }
  return image;
}

}  // namespace resnet_zoo
