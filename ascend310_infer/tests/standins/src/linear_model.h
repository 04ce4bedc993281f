// The model that the stand-in libraries compute: a linear map of the input, described by a text. A .mindir holds it as a
// field of a protobuf message, whose first bytes stand before the text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// One line of "key=value" words, for example
//   linear input=uint8 output=float16 height=16 width=16 classes=3 batch=4
//   linear input=float32 output=float32 height=16 width=16 classes=3 gears=1,2,8
struct LinearModel {
  bool pixels = false;       // input=uint8, (H, W, channels); else float32, (channels, H, W)
  bool half_output = false;  // output=float16
  int64_t height = 0, width = 0, classes = 0;
  int64_t channels = 3;
  int64_t batch = 1;           // largest
  std::vector<int64_t> gears;  // empty: static batch

  size_t InputSize() const {
    return static_cast<size_t>(height * width * channels) * (pixels ? 1 : 4);
  }  // bytes of an image
  size_t OutputSize() const { return static_cast<size_t>(classes) * (half_output ? 2 : 4); }

  // logit[k] = sum over i of x[i] * ((i * (k + 3)) % 7 - 3) / 1024, in double precision.
  void Compute(const uint8_t* input, size_t images, uint8_t* output) const;
};

// False when the file is none of these.
bool ReadLinearModel(const std::string& path, LinearModel* model);
