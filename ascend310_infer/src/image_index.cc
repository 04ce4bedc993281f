#include "image_index.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <unordered_map>

#include "app_error.h"
#include "files.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

namespace {

// In small letters, with its dot.
std::string Ending(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending;
}

bool IsImage(const std::string& ending) {
  constexpr std::array<const char*, 7> kExtensions = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"};
  return std::find(kExtensions.begin(), kExtensions.end(), ending) != kExtensions.end();
}

// Links are followed, but within a class (a folder of the first level) never to a folder that was visited already, nor to
// the root; in the order of names, so that what is found does not depend on the file system. As src/data/sources/folder.py
// does.
void Collect(const fs::path& folder, const std::string& prefix, std::set<fs::path>* visited, ImageIndex* index) {
  std::error_code error;
  if (!visited->insert(fs::canonical(folder, error)).second) return;
  fs::directory_iterator listing(folder, error);
  if (error) throw AppError(folder.string() + ": the folder cannot be read: " + error.message(), kExitFailure);
  std::vector<fs::directory_entry> entries(fs::begin(listing), fs::end(listing));
  std::sort(entries.begin(), entries.end());
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (name[0] == '.') continue;
    if (entry.is_directory(error)) {
      std::set<fs::path> of_class;
      if (prefix.empty()) of_class = *visited;
      Collect(entry.path(), prefix + name + "/", prefix.empty() ? &of_class : visited, index);
    } else if (const std::string ending = Ending(entry.path()); IsImage(ending)) {
      index->files.push_back(prefix + name);
    } else {
      ++index->passed_over[ending];
    }
  }
}

std::string Flattened(std::string path) {
  for (size_t at = 0; (at = path.find('/', at)) != std::string::npos; at += 2) path.replace(at, 1, "__");
  return path;
}

// Refuses a folder that is being filled: images are missing.
void CheckWhole(const fs::path& folder) {
  std::error_code error;
  if (fs::exists(folder / ".prepare.json", error)) {  // as src/data/sources/folder.py does
    throw AppError("'" + folder.string() +
                   "' is filled in part; repeat the command of src.data.tools.prepare that was at it");
  }
}

using Counts = std::unordered_map<std::string, int>;

}  // namespace

bool IsImageName(const std::string& name) { return IsImage(Ending(name)); }

ImageIndex FindImages(const fs::path& path) {
  std::error_code error;
  ImageIndex index;
  if (fs::is_regular_file(path, error)) {
    index.root = path.parent_path();
    index.files = {path.filename().string()};
    return index;
  }
  if (!fs::is_directory(path, error)) throw AppError("no such file or folder '" + path.string() + "'");
  CheckWhole(path);
  index.root = path;
  std::set<fs::path> visited;
  Collect(path, "", &visited, &index);
  if (index.files.empty()) {
    throw AppError("no images in '" + path.string() + "' (looked for .jpg, .jpeg, .png, .bmp, .tif, .tiff, .webp)");
  }
  std::sort(index.files.begin(), index.files.end());
  return index;
}

std::string PassedOver(const ImageIndex& index) {
  constexpr size_t kMostNamed = 5;
  std::vector<std::pair<size_t, std::string>> counts;
  size_t total = 0;
  for (const auto& [ending, count] : index.passed_over) {
    counts.emplace_back(count, ending.empty() ? "without ending" : ending);
    total += count;
  }
  if (!total) return {};
  std::stable_sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::string text = std::to_string(total) + (total == 1 ? " file passed over:" : " files passed over:");
  for (size_t i = 0; i < std::min(counts.size(), kMostNamed); ++i) {
    text += (i ? ", " : " ") + std::to_string(counts[i].first) + " " + counts[i].second;
  }
  return text + (counts.size() > kMostNamed ? ", ..." : "");
}

std::vector<std::string> ResultNames(const std::vector<std::string>& files) {
  Counts stems, paths;
  for (const auto& file : files) {
    ++stems[fs::path(file).stem().string()];
    ++paths[fs::path(file).replace_extension().string()];
  }
  std::vector<std::string> names;
  std::unordered_map<std::string, const std::string*> owners;
  for (const auto& file : files) {
    std::string name = fs::path(file).stem().string();
    if (stems[name] > 1) {
      const std::string path = fs::path(file).replace_extension().string();
      name = Flattened(paths[path] > 1 ? file : path);
    }
    if (name.size() > kLongestName) {
      throw AppError("the name of the results of '" + file + "' would be too long (" + std::to_string(name.size()) +
                     " bytes, the most are " + std::to_string(kLongestName) + "); shorten the path");
    }
    const auto [owner, is_new] = owners.emplace(name, &file);
    if (!is_new) {
      throw AppError("the results of '" + *owner->second + "' and '" + file + "' would both be named " + name +
                     "; rename one of the images");
    }
    names.push_back(name);
  }
  return names;
}

}  // namespace resnet_zoo
