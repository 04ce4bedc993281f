#include "json_texts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_set>

#include <nlohmann/json.hpp>

#include "accuracy.h"
#include "app_error.h"
#include "backend.h"

namespace resnet_zoo {

using Json = nlohmann::json;

namespace {

constexpr int kLargestSide = 1 << 14;  // of a crop, pixels
constexpr int kMostClasses = 1 << 24;
constexpr size_t kMostDimensions = 8;

// A member of an object, or null.
const Json& Member(const Json& json, const char* key) {
  static const Json null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

int Integer(const Json& value, const char* key, int highest) {
  if (!value.is_number_integer() || value.get<double>() < 1 || value.get<double>() > highest) {
    throw AppError(std::string(key) + " must be a whole number from 1 to " + std::to_string(highest));
  }
  return value.get<int>();
}

std::string Text(const Json& value, const char* key) {
  if (!value.is_string()) throw AppError(std::string(key) + " must be a text, is " + value.type_name());
  return value.get<std::string>();
}

// Empty where there is no such member, or null.
std::string OptionalText(const Json& json, const char* key) {
  constexpr size_t kLongest = 4096;
  const Json& value = Member(json, key);
  std::string text = value.is_null() ? std::string() : Text(value, key);
  if (text.size() > 4 * kLongest) {
    throw AppError(std::string(key) + " is longer than " + std::to_string(kLongest) + " letters");
  }
  return text;
}

// Three numbers, or the one of gray images.
std::array<float, 3> PerChannel(const Json& value, const char* key, bool positive) {
  std::array<float, 3> numbers{};
  bool good = value.is_array() && (value.size() == numbers.size() || value.size() == 1);
  for (size_t i = 0; good && i < value.size(); ++i) {
    good = value[i].is_number();
    if (!good) break;
    const auto number = value[i].get<double>();
    good = std::abs(number) <= 3.4e38 && (!positive || number >= 1.2e-38);  // normal numbers of float32
    if (good) numbers[i] = static_cast<float>(number);
  }
  if (!good)
    throw AppError(std::string(key) + " must be three " + (positive ? "positive " : "") + "numbers, or one for gray");
  return numbers;
}

Preprocessing ParsePreprocessing(const Json& json) {
  if (!json.is_object()) throw AppError(std::string("preprocessing must be an object, is ") + json.type_name());
  Preprocessing result;
  const Json& size = Member(json, "image_size");
  if (!size.is_array() || size.size() != 2) throw AppError("image_size must be [height, width]");
  result.height = Integer(size[0], "image_size", kLargestSide);
  result.width = Integer(size[1], "image_size", kLargestSide);
  const Json& resize = Member(json, "resize");
  const bool pair = resize.is_array() && resize.size() == 2;  // height and width, for crops that are not square
  if (pair) {
    result.resize_height = Integer(resize[0], "resize", kLargestSide);
    result.resize_width = Integer(resize[1], "resize", kLargestSide);
  } else {
    result.resize = Integer(resize, "resize", kLargestSide);
  }
  const Json& mode = Member(json, "resize_mode");
  if (mode != "shorter" && mode != "square") throw AppError("resize_mode must be shorter or square");
  result.square = mode == "square";
  const bool too_small = pair ? result.resize_height < result.height || result.resize_width < result.width
                              : result.resize < std::max(result.height, result.width);
  if (too_small) throw AppError("resize must not be smaller than image_size");
  const Json& antialias = Member(json, "antialias");
  if (!antialias.is_boolean()) throw AppError("antialias must be true or false");
  result.antialias = antialias.get<bool>();
  result.mean = PerChannel(Member(json, "mean"), "mean", false);
  result.std = PerChannel(Member(json, "std"), "std", true);
  result.channels = static_cast<int>(Member(json, "mean").size());
  if (Member(json, "std").size() != Member(json, "mean").size()) throw AppError("std must be as many numbers as mean");
  return result;
}

// {"name": text, "shape": ["N", 3, 224, 224], "dtype": text, "format": text}; null: nothing is said.
TensorInfo ParseTensor(const Json& json, const char* key) {
  TensorInfo info;
  if (json.is_null()) return info;
  if (!json.is_object()) throw AppError(std::string(key) + " must be an object, is " + json.type_name());
  info.name = OptionalText(json, "name");
  info.dtype = OptionalText(json, "dtype");
  info.format = OptionalText(json, "format");
  const Json& shape = Member(json, "shape");
  if (!shape.is_array() || shape.size() > kMostDimensions) {
    throw AppError(std::string(key) + ": shape must be a list of sizes");
  }
  for (const Json& size : shape) info.shape.push_back(size == "N" ? 0 : Integer(size, "shape", kMostClasses));
  return info;
}

std::vector<std::string> ParseNames(const Json& json, int num_classes) {
  if (!json.is_array()) throw AppError(std::string("class_names must be a list, is ") + json.type_name());
  if (!json.empty() && json.size() != static_cast<size_t>(num_classes)) {
    throw AppError("class_names must be empty or num_classes names");
  }
  std::vector<std::string> names;
  for (const Json& name : json) names.push_back(Text(name, "a class name"));
  return names;
}

ModelMeta MetaFrom(const Json& json, std::string* digest) {
  if (!json.is_object()) throw AppError(std::string("it must be an object, is ") + json.type_name());
  ModelMeta meta;
  *digest = Text(Member(json, "sha256"), "sha256");
  meta.file_format = OptionalText(json, "file_format");
  meta.backbone = OptionalText(json, "backbone");
  meta.encryption = OptionalText(json, "encryption");
  meta.input = ParseTensor(Member(json, "input"), "input");
  meta.output = ParseTensor(Member(json, "output"), "output");
  const Json& sizes = Member(json, "batch_sizes");
  if (!sizes.is_null() && !sizes.is_array()) throw AppError("batch_sizes must be a list of numbers");
  for (const Json& size : sizes) meta.batch_sizes.push_back(Integer(size, "batch_sizes", kLargestBatch));
  meta.num_classes = Integer(Member(json, "num_classes"), "num_classes", kMostClasses);
  meta.class_names = ParseNames(Member(json, "class_names"), meta.num_classes);
  meta.preprocessing = ParsePreprocessing(Member(json, "preprocessing"));
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
    std::unordered_set<std::string> names;
    const auto note_names = [&](int depth, Json::parse_event_t event, Json& parsed) {
      if (event == Json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second) {
        throw AppError("'" + parsed.get<std::string>() + "' has a label already");
      }
      return true;
    };
    const Json json = Json::parse(text.begin(), text.end(), note_names);
    if (!json.is_object() || json.empty()) throw AppError("it is no object, or empty");
    for (const auto& [name, label] : json.items()) {
      if (!label.is_string() && !label.is_number_integer()) {
        throw AppError("the label of '" + name + "' is " + label.type_name() + "; it must be a class number or name");
      }
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

}  // namespace resnet_zoo
