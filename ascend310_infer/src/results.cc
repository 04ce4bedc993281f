#include "results.h"

#include <cstdio>

#include "app_error.h"
#include "files.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

namespace {

// <anything>_<digits>.<bin|txt|json>
bool IsResult(const fs::path& path) {
  const std::string stem = path.stem().string(), extension = path.extension().string();
  const size_t digits = stem.find_last_not_of("0123456789");
  return (extension == ".bin" || extension == ".txt" || extension == ".json") && digits != std::string::npos &&
         stem[digits] == '_' && digits + 1 < stem.size();
}

}  // namespace

std::string EncodeBin(const float* values, size_t count) {
  static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the result files are little endian");
  return std::string(reinterpret_cast<const char*>(values), count * sizeof(float));
}

std::string EncodeTxt(const float* values, size_t count, size_t columns) {
  std::string text;
  char number[64];
  for (size_t i = 0; i < count; ++i) {
    text.append(number, static_cast<size_t>(std::snprintf(number, sizeof number, "%f ", static_cast<double>(values[i]))));
    if ((i + 1) % columns == 0) text += '\n';
  }
  return text;
}

void PrepareResultFolder(const fs::path& folder) {
  MakeFolder(folder);
  RemoveLeftovers(folder);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (IsResult(entry.path())) fs::remove(entry.path(), error);
    if (error) break;
  }
  if (error) throw AppError(folder.string() + ": earlier results cannot be removed: " + error.message(), kExitFailure);
}

std::string PerformanceText(const LatencySummary& latency, int batch, size_t images, double images_per_second) {
  char text[400];
  // The first line is what the scripts of MindSpore's models look for.
  std::snprintf(text, sizeof text,
                "NN inference cost average time: %.4f ms of infer_count %zu\n"
                "batch: %d\nimages: %zu\nthroughput: %.2f img/s\n"
                "latency: median %.4f ms, p90 %.4f ms, p99 %.4f ms\n",
                latency.mean, latency.count, batch, images, images_per_second, latency.median, latency.p90, latency.p99);
  return text;
}

}  // namespace resnet_zoo
