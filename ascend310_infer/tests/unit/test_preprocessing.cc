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

TEST_CASE("a crop that is not square gets its share of both directions") {
  Preprocessing preprocessing;
  preprocessing.height = 24;
  preprocessing.width = 56;
  preprocessing.resize_height = 27;
  preprocessing.resize_width = 64;
  // Columns rise from 0 by one: of 140 columns and 60 rows, 64 x 27 cover all but a row and a half at most.
  Image image{140, 60, {}};
  for (int y = 0; y < 60; ++y) {
    for (int x = 0; x < 140; ++x) image.pixels.insert(image.pixels.end(), 3, static_cast<uint8_t>(x));
  }
  std::vector<uint8_t> crop(24 * 56 * 3);
  ResizeAndCrop(image, preprocessing, crop.data());
  CHECK(crop.front() <= 10);  // 4 of 64 columns are cut on each side: 4 / 64 * 140 is 9
  CHECK(crop.back() >= 129);
}

TEST_CASE("gray is the luma that Pillow computes, normalized as one channel") {
  std::vector<uint8_t> pixels{255, 0, 0, 0, 255, 0, 0, 0, 255, 7, 7, 7};
  ToGray(pixels.data(), 4);
  CHECK((std::vector<uint8_t>(pixels.begin(), pixels.begin() + 4) == std::vector<uint8_t>{76, 150, 29, 7}));
  Preprocessing preprocessing;
  preprocessing.height = preprocessing.width = 2;
  preprocessing.channels = 1;
  preprocessing.mean[0] = 0.2F;
  preprocessing.std[0] = 0.1F;
  std::vector<float> numbers(4);
  Normalize(pixels.data(), preprocessing, numbers.data());
  CHECK(numbers[0] == doctest::Approx((76 - 51) / 25.5));
  CHECK(numbers[3] == doctest::Approx((7 - 51) / 25.5));
}

}  // namespace resnet_zoo
