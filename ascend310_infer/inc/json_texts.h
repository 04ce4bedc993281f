// All JSON that the programs read and write. src/json_texts.cc alone includes nlohmann/json, which is slow to compile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <vector>

#include "bin_inputs.h"
#include "latency.h"
#include "model_meta.h"

namespace resnet_zoo {

// The text of a .meta.json; digest: its sha256. Throws AppError saying what is wrong, without the file's name.
ModelMeta ParseMetaJson(const std::vector<uint8_t>& text, std::string* digest);

// {"image-name": label, ...}, labels as text. Throws AppError saying what is wrong, without the file's name.
std::unordered_map<std::string, std::string> ParseLabelJson(const std::vector<uint8_t>& text);

// The `k` most likely classes: {"image": ..., "predictions": [{"class", "index", "probability"}]}.
std::string PredictionsJson(const std::string& image, const float* logits, int num_classes,
                            const std::vector<std::string>& class_names, int k);

// The keys of ais_bench's summary that mean the same here. ending: of the result files in `folder`.
std::string SummaryJson(const std::vector<BinInput>& inputs, const std::filesystem::path& folder, const std::string& ending,
                        const LatencySummary& latency, double images_per_second);

}  // namespace resnet_zoo
