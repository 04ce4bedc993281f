#include "linear_model.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

namespace {

// Round to nearest, ties to even; no denormals, infinities or NaN are needed here.
uint16_t ToHalf(double value) {
  if (value == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(std::abs(value), &exponent);  // 0.5 to 1
  auto scaled = static_cast<int>(std::nearbyint(fraction * 2048));
  if (scaled == 2048) scaled = 1024, ++exponent;
  const int biased = exponent + 14;
  if (biased < 1 || biased > 30) return static_cast<uint16_t>(value < 0 ? 0x8000 : 0);
  return static_cast<uint16_t>((value < 0 ? 0x8000 : 0) | biased << 10 | (scaled & 1023));
}

}  // namespace

bool ReadLinearModel(const std::string& path, LinearModel* model) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word) || word.size() < 6 || word.substr(word.size() - 6) != "linear") return false;
  while (file >> word) {
    const size_t equals = word.find('=');
    const std::string key = word.substr(0, equals), value = equals == std::string::npos ? "" : word.substr(equals + 1);
    if (key == "input")
      model->pixels = value == "uint8";
    else if (key == "output")
      model->half_output = value == "float16";
    else if (key == "height")
      model->height = std::atoll(value.c_str());
    else if (key == "width")
      model->width = std::atoll(value.c_str());
    else if (key == "channels")
      model->channels = std::atoll(value.c_str());
    else if (key == "classes")
      model->classes = std::atoll(value.c_str());
    else if (key == "batch")
      model->batch = std::atoll(value.c_str());
    else if (key == "gears") {
      std::istringstream list(value);
      for (std::string gear; std::getline(list, gear, ',');) model->gears.push_back(std::atoll(gear.c_str()));
      model->batch = model->gears.back();
    } else
      return false;
  }
  return model->height > 0 && model->width > 0 && model->classes > 0 && model->batch > 0;
}

void LinearModel::Compute(const uint8_t* input, size_t images, uint8_t* output) const {
  const auto count = static_cast<size_t>(height * width * channels);
  for (size_t n = 0; n < images; ++n) {
    for (int64_t k = 0; k < classes; ++k) {
      double sum = 0;
      for (size_t i = 0; i < count; ++i) {
        float x = input[n * InputSize() + i * (pixels ? 1 : 4)];
        if (!pixels) std::memcpy(&x, input + n * InputSize() + i * 4, 4);
        sum += x * (static_cast<double>(i * static_cast<size_t>(k + 3) % 7) - 3) / 1024;
      }
      uint8_t* out = output + n * OutputSize() + static_cast<size_t>(k) * (half_output ? 2 : 4);
      const auto single = static_cast<float>(sum);
      const uint16_t half = ToHalf(sum);
      half_output ? std::memcpy(out, &half, 2) : std::memcpy(out, &single, 4);
    }
  }
}
