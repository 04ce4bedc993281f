// `<model>.meta.json`, which export.py writes beside every export.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "preprocessing.h"

struct ModelMeta {
  int num_classes = 0;
  std::vector<std::string> class_names;  // empty, or one per class
  Preprocessing preprocessing;
};

// Reads and checks the description and the model's checksum in it.
// Throws AppError when it is missing, cannot be read, holds impossible values or describes another file.
ModelMeta ReadModelMeta(const std::filesystem::path& model);
