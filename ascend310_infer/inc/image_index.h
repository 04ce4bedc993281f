// Which images there are, and the names of their results.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace resnet_zoo {

struct ImageIndex {
  std::filesystem::path root;                 // the folder that `files` are relative to
  std::vector<std::string> files;             // relative paths, sorted
  std::map<std::string, size_t> passed_over;  // ending, in small letters -> files that are no images by it
};

// Whether a file is looked at: by its ending, in large or small letters.
bool IsImageName(const std::string& name);

// Finds the images below a folder, at any depth; hidden files and folders count for nothing; `path` may be one image.
// Throws AppError when there is no such folder or there are no images.
ImageIndex FindImages(const std::filesystem::path& path);

// "12 files passed over: 10 .gif, 2 .txt"; empty where there are none.
std::string PassedOver(const ImageIndex& index);

// One name per image, without the ending "_0.<format>": the stem where it is unique in the data set; else the relative
// path without its extension, '/' written as "__"; else that with the extension.
// Throws AppError when two images would still have the same name.
std::vector<std::string> ResultNames(const std::vector<std::string>& files);

}  // namespace resnet_zoo
