#include "labels.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_map>

#include "app_error.h"
#include "label_file.h"

namespace resnet_zoo {

namespace {

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Class number, -1 for a text that is none.
int ClassNumber(const std::string& text, bool is_number, const ModelMeta& meta) {
  if (is_number) {
    int number = -1;
    std::from_chars(text.data() + (text[0] == '+' ? 1 : 0), text.data() + text.size(), number);
    return number < meta.num_classes ? number : -1;
  }
  const auto found = std::find(meta.class_names.begin(), meta.class_names.end(), text);
  return found == meta.class_names.end() ? -1 : static_cast<int>(found - meta.class_names.begin());
}

Labels FromFile(const ImageIndex& index, const std::filesystem::path& file, const ModelMeta& meta) {
  const std::string where = "'" + file.string() + "'";
  const auto texts = ReadLabelFile(file, meta.class_names);
  std::unordered_map<std::string, int> name_counts;
  for (const auto& image : index.files) ++name_counts[FileName(image)];
  Labels labels;
  for (const auto& image : index.files) {
    auto found = texts.find(image);
    if (found == texts.end() && name_counts[FileName(image)] == 1) found = texts.find(FileName(image));
    if (found == texts.end()) throw AppError(where + " has no label for '" + image + "'");
    const auto& [text, line, is_number] = found->second;
    const int number = ClassNumber(text, is_number, meta);
    if (number < 0) {
      throw AppError(where + (line ? " line " + std::to_string(line) : "") + ": '" + image + "' has the label '" + text +
                     "', which is none of the network's " + std::to_string(meta.num_classes) + " classes");
    }
    labels.numbers.push_back(number);
  }
  return labels;
}

Labels None(const std::string& reason) { return {{}, reason}; }

Labels FromFolders(const ImageIndex& index, const ModelMeta& meta) {
  std::set<std::string> folders;
  for (const auto& image : index.files) {
    const size_t slash = image.find('/');
    if (slash == std::string::npos) return None("the images are not in class folders; pass --label_file");
    folders.insert(image.substr(0, slash));
  }
  std::vector<std::string> names = meta.class_names;
  if (names.empty()) {
    if (folders.size() != static_cast<size_t>(meta.num_classes)) {
      return None("there are " + std::to_string(folders.size()) + " class folders, but the network has " +
                  std::to_string(meta.num_classes) + " classes");
    }
    names.assign(folders.begin(), folders.end());
  }
  std::unordered_map<std::string, int> numbers;
  for (size_t i = 0; i < names.size(); ++i) numbers.emplace(names[i], static_cast<int>(i));
  Labels labels;
  for (const auto& image : index.files) {
    const std::string folder = image.substr(0, image.find('/'));
    const auto found = numbers.find(folder);
    if (found == numbers.end()) return None("the folder '" + folder + "' is none of the network's classes");
    labels.numbers.push_back(found->second);
  }
  return labels;
}

}  // namespace

Labels FindLabels(const ImageIndex& index, const std::filesystem::path& label_file, const ModelMeta& meta) {
  return label_file.empty() ? FromFolders(index, meta) : FromFile(index, label_file, meta);
}

}  // namespace resnet_zoo
