// The class number of every image, where the data set tells.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image_index.h"
#include "model_meta.h"

namespace resnet_zoo {

struct Labels {
  std::vector<int> numbers;  // one per image, or empty
  std::string missing;       // why there are none
};

// From a label file (see ReadLabelFile), or, without one, from the class folders.
// A label is a class number or name. An image is looked up by its relative path, then, where no other image has the same, by
// its file name.
// Throws AppError for a label file that cannot be read, lacks an image or names a class that the network does not have.
Labels FindLabels(const ImageIndex& index, const std::filesystem::path& label_file, const ModelMeta& meta);

}  // namespace resnet_zoo
