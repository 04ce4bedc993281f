#include "image_job.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "app_error.h"
#include "decode.h"
#include "files.h"
#include "json_texts.h"
#include "preprocessing.h"
#include "results.h"

namespace resnet_zoo {

namespace {

constexpr size_t kLargestImageFile = size_t{512} << 20;

}  // namespace

std::string ImageJob::Read(size_t item, uint8_t* input) {
  try {
    ReadImage(index_.root / index_.files[item], input);
  } catch (const AppError& error) {
    return error.what();
  } catch (const std::bad_alloc&) {
    return "does not fit into memory";
  }
  return {};
}

void ImageJob::ReadImage(const std::filesystem::path& file, uint8_t* input) const {
  const Preprocessing& preprocessing = meta_.preprocessing;
  const Image image = Decode(ReadFile(file, kLargestImageFile), preprocessing.antialias);
  const bool gray = preprocessing.channels == 1, pixels = spec_.input_type == InputType::kPixels;
  if (pixels && !gray) {
    ResizeAndCrop(image, preprocessing, input);
    return;
  }
  const size_t area = static_cast<size_t>(preprocessing.height) * static_cast<size_t>(preprocessing.width);
  std::vector<uint8_t> crop(area * 3);
  ResizeAndCrop(image, preprocessing, crop.data());
  if (gray) ToGray(crop.data(), area);
  if (pixels) {
    std::copy_n(crop.begin(), area, input);
    return;
  }
  Normalize(crop.data(), preprocessing, reinterpret_cast<float*>(input));
}

void ImageJob::Store(size_t item, const float* logits) {
  const auto classes = static_cast<size_t>(meta_.num_classes);
  for (size_t i = 0; i < classes; ++i) {
    if (!std::isfinite(logits[i])) {
      throw AppError("the network's output for '" + index_.files[item] + "' holds NaN or Inf; its weights are unusable",
                     kExitFailure);
    }
  }
  const std::string stem = (results_.folder / (results_.names[item] + "_0")).string();
  switch (results_.format) {
    case ResultFormat::kBin:
      WriteFile(stem + ".bin", EncodeBin(logits, classes));
      break;
    case ResultFormat::kTxt:
      WriteFile(stem + ".txt", EncodeTxt(logits, classes, classes));
      break;
    case ResultFormat::kJson:
      WriteFile(stem + ".json",
                PredictionsJson(index_.files[item], logits, meta_.num_classes, meta_.class_names, results_.top_k));
      break;
  }
  if (labels_.empty()) return;
  const std::lock_guard<std::mutex> lock(accuracy_mutex_);
  accuracy_.Add(logits, meta_.num_classes, labels_[item]);
}

}  // namespace resnet_zoo
