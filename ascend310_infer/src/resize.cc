#include "resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace resnet_zoo {

namespace {

constexpr int kChannels = 3;

// Source pixels and weights of one output pixel of ResizeSampling, in one direction.
struct Sample {
  int first, second;
  int first_weight, second_weight;  // sum 2048
};

// `at_edges`: what happens to the weights of pixels beyond the edge. OpenCV moves them to the edge's pixel in a row, and
// keeps them (with that pixel twice) in a column, where it rounds each product by itself.
enum class AtEdges { kMoveWeights, kKeepWeights };

std::vector<Sample> Samples(int source, int target, int start, int count, AtEdges at_edges) {
  const double scale = static_cast<double>(source) / target;
  std::vector<Sample> samples(count);
  for (int i = 0; i < count; ++i) {
    const auto position = static_cast<float>((start + i + 0.5) * scale - 0.5);
    const int low = static_cast<int>(std::floor(position));
    float fraction = position - static_cast<float>(low);
    if (at_edges == AtEdges::kMoveWeights && (low < 0 || low >= source - 1)) fraction = 0;
    samples[i] = {std::clamp(low, 0, source - 1), std::clamp(low + 1, 0, source - 1),
                  static_cast<int>(std::lrint((1.F - fraction) * 2048)), static_cast<int>(std::lrint(fraction * 2048))};
  }
  return samples;
}

// Sources of one output pixel of ResizeAveraging, in one direction: weights[i] belongs to source pixel first + i.
struct Filter {
  int first;
  std::vector<int32_t> weights;  // sum about 1 << kPrecision
};

constexpr int kPrecision = 22;

std::vector<Filter> Filters(int source, int target, int start, int count) {
  const double scale = static_cast<double>(source) / target;
  const double support = std::max(scale, 1.0);
  std::vector<Filter> filters(count);
  std::vector<double> values;
  for (int i = 0; i < count; ++i) {
    const double center = (start + i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int end = std::min(static_cast<int>(center + support + 0.5), source);
    values.assign(end - first, 0.0);
    double sum = 0;
    for (int x = first; x < end; ++x) {
      const double distance = std::abs((x - center + 0.5) * (1.0 / support));
      values[x - first] = distance < 1.0 ? 1.0 - distance : 0.0;
      sum += values[x - first];
    }
    filters[i].first = first;
    for (double value : values) {
      filters[i].weights.push_back(static_cast<int32_t>(0.5 + (sum != 0 ? value / sum : value) * (1 << kPrecision)));
    }
  }
  return filters;
}

uint8_t Rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kPrecision, 0, 255)); }

// rows x width -> rows x filters.size().
std::vector<uint8_t> FilterColumns(const uint8_t* pixels, int rows, int width, const std::vector<Filter>& filters) {
  std::vector<uint8_t> output(static_cast<size_t>(rows) * filters.size() * kChannels);
  uint8_t* out = output.data();
  for (int y = 0; y < rows; ++y) {
    const uint8_t* row = pixels + static_cast<size_t>(y) * width * kChannels;
    for (const Filter& filter : filters) {
      int32_t red = 1 << (kPrecision - 1), green = red, blue = red;
      const uint8_t* pixel = row + static_cast<size_t>(filter.first) * kChannels;
      for (int32_t weight : filter.weights) {
        red += pixel[0] * weight;
        green += pixel[1] * weight;
        blue += pixel[2] * weight;
        pixel += kChannels;
      }
      *out++ = Rounded(red);
      *out++ = Rounded(green);
      *out++ = Rounded(blue);
    }
  }
  return output;
}

// Rows of `width` pixels, the first of them being row `origin` of the image -> filters.size() rows.
std::vector<uint8_t> FilterRows(const uint8_t* pixels, int width, int origin, const std::vector<Filter>& filters) {
  const size_t stride = static_cast<size_t>(width) * kChannels;
  std::vector<uint8_t> output(filters.size() * stride);
  std::vector<int32_t> sums(stride);
  uint8_t* out = output.data();
  for (const Filter& filter : filters) {
    std::fill(sums.begin(), sums.end(), 1 << (kPrecision - 1));
    const uint8_t* row = pixels + static_cast<size_t>(filter.first - origin) * stride;
    for (int32_t weight : filter.weights) {
      for (size_t x = 0; x < stride; ++x) sums[x] += row[x] * weight;
      row += stride;
    }
    for (size_t x = 0; x < stride; ++x) *out++ = Rounded(sums[x]);
  }
  return output;
}

int End(const std::vector<Filter>& filters) {
  return filters.back().first + static_cast<int>(filters.back().weights.size());
}

}  // namespace

void ResizeSampling(const Image& image, int width, int height, const Window& window, uint8_t* output) {
  const auto columns = Samples(image.width, width, window.left, window.width, AtEdges::kMoveWeights);
  const auto rows = Samples(image.height, height, window.top, window.height, AtEdges::kKeepWeights);
  const size_t stride = static_cast<size_t>(image.width) * kChannels, count = static_cast<size_t>(window.width) * kChannels;
  std::vector<int16_t> upper(count), lower(count);  // 255 * 2048 / 16 fits: compilers multiply eight of them at once
  int upper_row = -1, lower_row = -1;
  const auto interpolate = [&](int y, std::vector<int16_t>* line) {
    const uint8_t* row = image.pixels.data() + static_cast<size_t>(y) * stride;
    int16_t* out = line->data();
    for (const Sample& column : columns) {
      const uint8_t *a = row + static_cast<size_t>(column.first) * kChannels,
                    *b = row + static_cast<size_t>(column.second) * kChannels;
      for (int c = 0; c < kChannels; ++c) {
        *out++ = static_cast<int16_t>((a[c] * column.first_weight + b[c] * column.second_weight) >> 4);
      }
    }
  };
  for (const Sample& row : rows) {
    if (row.first == lower_row) {
      std::swap(upper, lower);
      std::swap(upper_row, lower_row);
    }
    if (row.first != upper_row) interpolate(upper_row = row.first, &upper);
    if (row.second != lower_row) interpolate(lower_row = row.second, &lower);
    const auto upper_weight = static_cast<int16_t>(row.first_weight), lower_weight = static_cast<int16_t>(row.second_weight);
    for (size_t i = 0; i < count; ++i) {
      const auto above = static_cast<int16_t>((upper[i] * upper_weight) >> 16);
      const auto below = static_cast<int16_t>((lower[i] * lower_weight) >> 16);
      output[i] = static_cast<uint8_t>((above + below + 2) >> 2);
    }
    output += count;
  }
}

void ResizeAveraging(const Image& image, int width, int height, const Window& window, uint8_t* output) {
  const auto columns = Filters(image.width, width, window.left, window.width);
  const auto rows = Filters(image.height, height, window.top, window.height);
  const size_t stride = static_cast<size_t>(image.width) * kChannels;
  const int top = rows.front().first;
  std::vector<uint8_t> result;
  // Found by comparing both orders with Pillow 13 for many sizes.
  const bool rows_first = height < image.height && image.height - height > 2 * (image.width - width);
  if (rows_first) {
    result = FilterRows(image.pixels.data(), image.width, 0, rows);
    result = FilterColumns(result.data(), window.height, image.width, columns);
  } else {
    result = FilterColumns(image.pixels.data() + top * stride, End(rows) - top, image.width, columns);
    result = FilterRows(result.data(), window.width, top, rows);
  }
  std::copy(result.begin(), result.end(), output);
}

}  // namespace resnet_zoo
