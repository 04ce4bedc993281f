// Where the windows of a convolution or pool lie.
#pragma once

#include <algorithm>
#include <cstdint>

struct Windows {
  int64_t strides[2], kernel[2], before[2], after[2];  // by rows, by columns
  int64_t no_dilation[2] = {0, 0};

  // Sizes in pixels. `same`: as few pixels of padding as cover the input, the odd one after it (MindSpore's pad mode "same";
  // "ceil" pools of stride 2 come out right too). Otherwise (kernel - 1) / 2 on every side.
  Windows(const int64_t* input, const int64_t* output, const int64_t* size, int64_t stride, bool same) {
    for (int axis = 0; axis < 2; ++axis) {
      strides[axis] = stride;
      kernel[axis] = size[axis];
      int64_t needed = std::max<int64_t>((output[axis] - 1) * stride + size[axis] - input[axis], 0);
      before[axis] = same ? needed / 2 : (size[axis] - 1) / 2;
      after[axis] = same ? needed - before[axis] : before[axis];
    }
  }
};
