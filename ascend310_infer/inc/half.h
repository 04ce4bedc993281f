// IEEE 754 half precision, which networks on Ascend may give.
#pragma once

#include <cstddef>
#include <cstdint>

namespace resnet_zoo {

float HalfToFloat(uint16_t half);

// Copies `count` logits, float32 or half, from a network's output, which may be aligned in any way.
void CopyLogits(const void* output, bool is_half, size_t count, float* logits);

}  // namespace resnet_zoo
