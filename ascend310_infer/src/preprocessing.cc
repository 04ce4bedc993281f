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

// Pillow's callers round half to even, MindSpore rounds down.
int Offset(int size, int crop, bool antialias) {
  return antialias ? static_cast<int>(std::nearbyint((size - crop) / 2.0)) : (size - crop) / 2;
}

}  // namespace

void ResizeAndCrop(const Image& image, const Preprocessing& preprocessing, uint8_t* crop) {
  const int shorter = std::min(image.width, image.height);
  const int width = preprocessing.square ? preprocessing.resize : ScaledSide(image.width, shorter, preprocessing);
  const int height = preprocessing.square ? preprocessing.resize : ScaledSide(image.height, shorter, preprocessing);
  const Window window{Offset(width, preprocessing.width, preprocessing.antialias),
                      Offset(height, preprocessing.height, preprocessing.antialias), preprocessing.width,
                      preprocessing.height};
  (preprocessing.antialias ? ResizeAveraging : ResizeSampling)(image, width, height, window, crop);
}

void Normalize(const uint8_t* pixels, const Preprocessing& preprocessing, float* output) {
  const size_t area = static_cast<size_t>(preprocessing.height) * preprocessing.width;
  for (int channel = 0; channel < 3; ++channel) {
    const float mean = 255 * preprocessing.mean[channel], deviation = 255 * preprocessing.std[channel];
    for (size_t i = 0; i < area; ++i) *output++ = (static_cast<float>(pixels[3 * i + channel]) - mean) / deviation;
  }
}

}  // namespace resnet_zoo
