#include "model_meta.h"

#include <cmath>

#include <nlohmann/json.hpp>

#include "app_error.h"
#include "files.h"
#include "sha256.h"

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr size_t kLargestMeta = 64 << 20;
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

ModelMeta Parse(const std::vector<uint8_t>& bytes, std::string* digest) {
  const Json json = Json::parse(bytes.begin(), bytes.end());
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

}  // namespace

ModelMeta ReadModelMeta(const fs::path& model) {
  std::error_code error;
  if (!fs::is_regular_file(model, error)) throw AppError("--model_path: no such file '" + model.string() + "'");
  const fs::path path = model.string() + ".meta.json";
  if (!fs::is_regular_file(path, error)) {
    throw AppError(path.string() + ": missing; it holds the preprocessing: copy it from where export.py wrote " +
                   model.filename().string() + ", or export again");
  }
  ModelMeta meta;
  std::string digest;
  try {
    meta = Parse(ReadFile(path, kLargestMeta), &digest);
  } catch (const Json::exception& problem) {
    throw AppError(path.string() + ": cannot be used: " + Reason(problem.what()) + "; export the checkpoint again");
  } catch (const AppError& problem) {
    throw AppError(path.string() + ": cannot be used: " + problem.what() + "; export the checkpoint again");
  }
  if (digest != Sha256OfFile(model)) {
    throw AppError(model.string() + ": damaged or replaced: its checksum is not the one in " + path.filename().string() +
                   "; export it again");
  }
  return meta;
}
