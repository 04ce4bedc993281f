// The files of a run.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "latency.h"

namespace resnet_zoo {

// Logits as bytes (float32, little endian) or as the text that ais_bench writes: one line per row of `columns` values,
// six decimals, each followed by a blank.
std::string EncodeBin(const float* values, size_t count);
std::string EncodeTxt(const float* values, size_t count, size_t columns);

// Makes the folder, and removes result files (*_<number>.bin, .txt, .json) of an earlier run from it.
void PrepareResultFolder(const std::filesystem::path& folder);

// The text of time_Result/test_perform_static.txt.
std::string PerformanceText(const LatencySummary& latency, int batch, size_t images, double images_per_second);

}  // namespace resnet_zoo
