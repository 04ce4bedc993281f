#include "json_texts.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <nlohmann/json.hpp>

#include "accuracy.h"
#include "app_error.h"

using Json = nlohmann::json;

namespace {

constexpr int kLargestSide = 1 << 14;  // of a crop, pixels

int Integer(const Json& value, const char* key, int highest) {
  if (!value.is_number_integer() || value.get<double>() < 1 || value.get<double>() > highest) {
    throw AppError(std::string(key) + " must be a whole number from 1 to " + std::to_string(highest));
  }
  return value.get<int>();
}

std::array<float, 3> PerChannel(const Json& value, const char* key, bool positive) {
  std::array<float, 3> numbers{};
  bool good = value.is_array() && value.size() == numbers.size();
  for (size_t i = 0; good && i < numbers.size(); ++i) {
    good = value[i].is_number();
    if (!good) break;
    numbers[i] = static_cast<float>(value[i].get<double>());
    good = std::isfinite(numbers[i]) && (!positive || numbers[i] > 0);
  }
  if (!good) throw AppError(std::string(key) + " must be three " + (positive ? "positive " : "") + "numbers");
  return numbers;
}

Preprocessing ParsePreprocessing(const Json& json) {
  Preprocessing result;
  const Json& size = json.at("image_size");
  if (!size.is_array() || size.size() != 2) throw AppError("image_size must be [height, width]");
  result.height = Integer(size[0], "image_size", kLargestSide);
  result.width = Integer(size[1], "image_size", kLargestSide);
  result.resize = Integer(json.at("resize"), "resize", kLargestSide);
  const Json& mode = json.at("resize_mode");
  if (mode != "shorter" && mode != "square") throw AppError("resize_mode must be shorter or square");
  result.square = mode == "square";
  if (result.resize < std::max(result.height, result.width)) throw AppError("resize must not be smaller than image_size");
  if (!json.at("antialias").is_boolean()) throw AppError("antialias must be true or false");
  result.antialias = json.at("antialias").get<bool>();
  result.mean = PerChannel(json.at("mean"), "mean", false);
  result.std = PerChannel(json.at("std"), "std", true);
  return result;
}

ModelMeta MetaFrom(const Json& json, std::string* digest) {
  ModelMeta meta;
  *digest = json.at("sha256").get<std::string>();
  meta.num_classes = Integer(json.at("num_classes"), "num_classes", 1 << 24);
  meta.class_names = json.at("class_names").get<std::vector<std::string>>();
  if (!meta.class_names.empty() && meta.class_names.size() != static_cast<size_t>(meta.num_classes)) {
    throw AppError("class_names must be empty or num_classes names");
  }
  meta.preprocessing = ParsePreprocessing(json.at("preprocessing"));
  return meta;
}

// File names may hold bytes that are not UTF-8, which JSON cannot: they become U+FFFD.
std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

ModelMeta ParseMetaJson(const std::vector<uint8_t>& text, std::string* digest) {
  try {
    return MetaFrom(Json::parse(text.begin(), text.end()), digest);
  } catch (const Json::exception& problem) {
    throw AppError(Reason(problem.what()));
  }
}

std::unordered_map<std::string, std::string> ParseLabelJson(const std::vector<uint8_t>& text) {
  std::unordered_map<std::string, std::string> labels;
  try {
    const Json json = Json::parse(text.begin(), text.end());
    if (!json.is_object()) throw AppError("it is no object");
    for (const auto& [name, label] : json.items()) {
      labels[name] = label.is_string() ? label.get<std::string>() : label.dump();
    }
  } catch (const Json::exception& problem) {
    throw AppError(Reason(problem.what()));
  }
  return labels;
}

std::string PredictionsJson(const std::string& image, const float* logits, int num_classes,
                            const std::vector<std::string>& class_names, int k) {
  Json predictions = Json::array();
  for (const auto& [index, probability] : TopClasses(logits, num_classes, k)) {
    const std::string name = class_names.empty() ? std::to_string(index) : class_names[static_cast<size_t>(index)];
    predictions.push_back({{"class", name}, {"index", index}, {"probability", probability}});
  }
  const Json json = {{"image", image}, {"predictions", predictions}};
  return Dump(json, -1);
}

std::string SummaryJson(const std::vector<BinInput>& inputs, const std::filesystem::path& folder, const std::string& ending,
                        const LatencySummary& latency, double images_per_second) {
  Json files = Json::object();
  for (size_t i = 0; i < inputs.size(); ++i) {
    files[std::to_string(i)] = {{"infiles", {inputs[i].path.string()}},
                                {"outfiles", {(folder / (inputs[i].result_name + "_0" + ending)).string()}}};
  }
  const Json json = {{"filesinfo", files},
                     {"NPU_compute_time",
                      {{"min", latency.lowest},
                       {"max", latency.highest},
                       {"mean", latency.mean},
                       {"median", latency.median},
                       {"percentile(99%)", latency.p99}}},
                     {"throughput", images_per_second}};
  return Dump(json, 2);
}
