// IEEE 754 half precision, which networks on Ascend may give.
#pragma once

#include <cstdint>

float HalfToFloat(uint16_t half);
