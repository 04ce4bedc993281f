#include "preprocessing.h"

#include <algorithm>
#include <cmath>

#include "app_error.h"
#include "resize.h"

namespace resnet_zoo {

namespace {

// Above this a coordinate would not fit into the arithmetic of the resizes; it takes a 1-pixel-high strip to get there.
constexpr double kLargestSide = 1 << 24;

// The longer side after the shorter one became `resize`, computed as Pillow's callers do (averaging) or as MindSpore
// does, in single precision (sampling).
int ScaledSide(int side, int shorter, const Preprocessing& preprocessing) {
  if (side == shorter) return preprocessing.resize;
  const double scaled =
      preprocessing.antialias
          ? static_cast<double>(preprocessing.resize) * side / shorter
          : std::floor(static_cast<float>(side) / static_cast<float>(shorter) * static_cast<float>(preprocessing.resize));
  if (scaled > kLargestSide) throw AppError("is too narrow to be resized");
  return static_cast<int>(scaled);
}

struct Size {
  int width, height;
};

// The smallest size with the image's shape that covers the pair; the side that is longer than it must be is rounded down.
Size CoveringSize(const Image& image, const Preprocessing& preprocessing) {
  const int64_t width = image.width, height = image.height;
  const int64_t pair_width = preprocessing.resize_width, pair_height = preprocessing.resize_height;
  const bool by_height = pair_height * width >= pair_width * height;
  const int64_t other = by_height ? pair_height * width / height : pair_width * height / width;
  if (other > static_cast<int64_t>(kLargestSide)) throw AppError("is too narrow to be resized");
  if (by_height) return {static_cast<int>(other), preprocessing.resize_height};
  return {preprocessing.resize_width, static_cast<int>(other)};
}

Size ScaledSize(const Image& image, const Preprocessing& preprocessing) {
  const bool pair = preprocessing.resize_height != 0;
  if (preprocessing.square && pair) return {preprocessing.resize_width, preprocessing.resize_height};
  if (preprocessing.square) return {preprocessing.resize, preprocessing.resize};
  if (pair) return CoveringSize(image, preprocessing);
  const int shorter = std::min(image.width, image.height);
  return {ScaledSide(image.width, shorter, preprocessing), ScaledSide(image.height, shorter, preprocessing)};
}

// Pillow's callers round half to even, MindSpore rounds down.
int Offset(int size, int crop, bool antialias) {
  return antialias ? static_cast<int>(std::nearbyint((size - crop) / 2.0)) : (size - crop) / 2;
}

}  // namespace

void ResizeAndCrop(const Image& image, const Preprocessing& preprocessing, uint8_t* crop) {
  const auto [width, height] = ScaledSize(image, preprocessing);
  const Window window{Offset(width, preprocessing.width, preprocessing.antialias),
                      Offset(height, preprocessing.height, preprocessing.antialias), preprocessing.width,
                      preprocessing.height};
  (preprocessing.antialias ? ResizeAveraging : ResizeSampling)(image, width, height, window, crop);
}

void ToGray(uint8_t* pixels, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t red = pixels[3 * i], green = pixels[3 * i + 1], blue = pixels[3 * i + 2];
    pixels[i] = static_cast<uint8_t>((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16);
  }
}

void Normalize(const uint8_t* pixels, const Preprocessing& preprocessing, float* output) {
  const size_t area = static_cast<size_t>(preprocessing.height) * preprocessing.width;
  const auto channels = static_cast<size_t>(preprocessing.channels);
  for (size_t channel = 0; channel < channels; ++channel) {
    const float mean = 255 * preprocessing.mean[channel], deviation = 255 * preprocessing.std[channel];
    for (size_t i = 0; i < area; ++i) *output++ = (static_cast<float>(pixels[channels * i + channel]) - mean) / deviation;
  }
}

}  // namespace resnet_zoo
