#include "decode.h"
#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("bytes that are no image") {
  CHECK_REFUSED(Decode({}, false), "is empty");
  CHECK_REFUSED(Decode({'t', 'e', 'x', 't'}, false), "is not an image");
  CHECK_REFUSED(Decode({'B', 'M', 0, 0}, false), "is truncated or damaged");
  CHECK_REFUSED(Decode({0xff, 0xd8, 0xff, 0xe0}, false), "cannot be decoded");
  CHECK_REFUSED(Decode({0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0}, false), "the data ends too early");
  CHECK_REFUSED(CheckSize(20000, 20000), "more pixels than is safe");
  CHECK_REFUSED(CheckSize(0, 1), "has no pixels");
}

}  // namespace resnet_zoo
