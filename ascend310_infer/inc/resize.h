// Two bilinear resizes that compute only a window of the result.
#pragma once

#include <cstdint>

#include "preprocessing.h"

namespace resnet_zoo {

// Part of a resized image, in its pixels.
struct Window {
  int left, top, width, height;
};

// Samples as OpenCV's INTER_LINEAR does on 8-bit pixels: 11-bit weights, edges repeated. MindSpore's Resize uses the same.
// output: window.height * window.width * 3 bytes.
void ResizeSampling(const Image& image, int width, int height, const Window& window, uint8_t* output);

// Averages as Pillow's BILINEAR does on 8-bit pixels: a triangle filter as wide as the reduction, 22-bit weights, rows
// and columns one after the other, in the order that Pillow 13 chooses. Older releases choose another order for images that
// shrink in height more than twice as much as in width, which changes some of their values by 1.
void ResizeAveraging(const Image& image, int width, int height, const Window& window, uint8_t* output);

}  // namespace resnet_zoo
