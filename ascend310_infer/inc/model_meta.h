// `<model>.meta.json`, which export.py writes beside every export.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preprocessing.h"

namespace resnet_zoo {

// The input or the output of a model.
struct TensorInfo {
  std::string name;
  std::vector<int64_t> shape;  // 0: any
  std::string dtype;           // float32 or uint8
  std::string format;          // of uint8 images, as AIPP calls them: RGB888_U8, YUV400_U8 (gray) or YUV420SP_U8
};

// The fields of `ModelInfo` (src/model_info.py) that a program needs to use a file. Empty where the description does not
// say.
struct ModelMeta {
  std::string file_format, backbone, encryption;
  TensorInfo input, output;
  std::vector<int> batch_sizes;  // of an .om
  int num_classes = 0;
  std::vector<std::string> class_names;  // empty, or one per class
  Preprocessing preprocessing;
};

// Reads and checks the description and the model's checksum in it.
// Throws AppError when it is missing, cannot be read, holds impossible values, describes another file, or one that these
// programs cannot use: an encrypted model, or one that takes YUV images.
ModelMeta ReadModelMeta(const std::filesystem::path& model);

}  // namespace resnet_zoo
