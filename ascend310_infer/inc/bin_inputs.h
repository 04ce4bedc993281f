// Folders of .bin inputs, as ais_bench takes them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace resnet_zoo {

struct BinInput {
  std::filesystem::path path;
  std::string result_name;  // file name up to its first dot, as ais_bench names results
  size_t samples = 0;       // images in the file
};

// The .bin files that `inputs` (files or folders, separated by commas) name, numbers in names sorted by value.
// Throws AppError when there are none, when a file does not hold between 1 and `batch` samples of `sample_bytes`, or when
// two results would have the same name.
std::vector<BinInput> FindBinInputs(const std::string& inputs, size_t sample_bytes, int batch);

// "a2" before "a10".
bool NaturalLess(const std::string& a, const std::string& b);

}  // namespace resnet_zoo
