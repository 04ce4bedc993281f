#include "half.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace resnet_zoo {

float HalfToFloat(uint16_t half) {
  const int exponent = half >> 10 & 31, fraction = half & 1023;
  float value = 0;
  if (exponent == 31) {
    value = fraction ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  } else {
    value = exponent ? std::ldexp(static_cast<float>(1024 + fraction), exponent - 25)
                     : std::ldexp(static_cast<float>(fraction), -24);
  }
  return half & 0x8000 ? -value : value;
}

void CopyLogits(const void* output, bool is_half, size_t count, float* logits) {
  if (!is_half) {
    std::memcpy(logits, output, count * sizeof(float));
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    uint16_t half = 0;
    std::memcpy(&half, static_cast<const uint8_t*>(output) + 2 * i, 2);
    logits[i] = HalfToFloat(half);
  }
}

}  // namespace resnet_zoo
