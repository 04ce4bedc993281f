#include "preprocessing.h"

#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("a strip that would become too long is refused") {
  Preprocessing preprocessing;
  preprocessing.height = preprocessing.width = preprocessing.resize = 256;
  const Image strip{1, 100000, std::vector<uint8_t>(300000)};
  std::vector<uint8_t> crop(256 * 256 * 3);
  CHECK_REFUSED(ResizeAndCrop(strip, preprocessing, crop.data()), "is too narrow");
}

}  // namespace resnet_zoo
