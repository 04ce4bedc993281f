// What happens to an image before the network sees it: the same pixels as src/data/pipeline.py gives, bit for bit.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace resnet_zoo {

// The `preprocessing` of an export's .meta.json (src/data/preprocessing.py).
struct Preprocessing {
  int height = 0, width = 0;  // of the center crop, pixels
  int resize = 0;             // pixels of the shorter side, or of both when `square`; not used where there is a pair:
  int resize_height = 0, resize_width = 0;  // the smallest size that covers both, or both when `square`; 0: no pair
  bool square = false;
  bool antialias = false;              // Pillow's bilinear filter instead of OpenCV's
  int channels = 3;                    // of the network's input: 1 for gray
  std::array<float, 3> mean{}, std{};  // red, green, blue, or the one of gray; of pixels scaled to 0..1
};

// RGB, 8 bits: height rows of width * 3 bytes.
struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> pixels;
};

// Resizes and cuts the center out. crop: preprocessing.height * preprocessing.width * 3 bytes, RGB, rows first.
// Throws AppError when the resized image would be too large to hold.
void ResizeAndCrop(const Image& image, const Preprocessing& preprocessing, uint8_t* crop);

// RGB to luma (ITU-R BT.601), rounded as Pillow's convert("L") does, in place: of 3 * count bytes the first count.
void ToGray(uint8_t* pixels, size_t count);

// (pixel - 255 mean) / (255 std), channels first. pixels: height * width * channels; output: as many, channels first.
void Normalize(const uint8_t* pixels, const Preprocessing& preprocessing, float* output);

}  // namespace resnet_zoo
