#include <cmath>

#include "half.h"
#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("half precision to float") {
  CHECK(HalfToFloat(0x3c00) == 1);
  CHECK(HalfToFloat(0xc500) == -5);
  CHECK(HalfToFloat(0x7bff) == 65504);
  CHECK(HalfToFloat(0) == 0);
  CHECK(HalfToFloat(0x0001) == std::ldexp(1.F, -24));
  CHECK(HalfToFloat(0x0400) == std::ldexp(1.F, -14));
  CHECK(std::isinf(HalfToFloat(0xfc00)));
  CHECK(std::isnan(HalfToFloat(0x7c01)));
}

}  // namespace resnet_zoo
