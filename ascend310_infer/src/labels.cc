#include "labels.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <unordered_map>

#include "app_error.h"
#include "files.h"
#include "json_texts.h"

namespace resnet_zoo {

namespace {

// What a label file says of an image.
struct LabelText {
  std::string text;
  int line = 0;  // 0: of a JSON file
};
using LabelTexts = std::unordered_map<std::string, LabelText>;

constexpr size_t kLargestLabelFile = size_t{1} << 30;

LabelTexts ParseJson(const std::vector<uint8_t>& bytes, const std::string& where) {
  try {
    LabelTexts labels;
    for (auto& [name, label] : ParseLabelJson(bytes)) labels[name] = {label, 0};
    return labels;
  } catch (const AppError& problem) {
    throw AppError(where + ": expected a JSON object {\"image-name\": label}: " + problem.what());
  }
}

std::string Trimmed(const std::string& text) {
  const size_t start = text.find_first_not_of(" \t\r"), end = text.find_last_not_of(" \t\r");
  return start == std::string::npos ? std::string() : text.substr(start, end - start + 1);
}

// A field without the blanks and the quotes around it; two quotes inside stand for one.
std::string Unquoted(const std::string& field) {
  std::string text = Trimmed(field);
  if (text.size() < 2 || text.front() != '"' || text.back() != '"') return text;
  text = text.substr(1, text.size() - 2);
  for (size_t at = 0; (at = text.find("\"\"", at)) != std::string::npos; ++at) text.erase(at, 1);
  return text;
}

// Where the last separator outside of quotes stands. A quote opens at the start of a field only: 5" is no quote.
size_t LastSeparator(const std::string& line, char separator) {
  size_t last = std::string::npos;
  bool quoted = false, at_start = true;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && (quoted || at_start)) quoted = !quoted;
    if (!quoted && line[i] == separator) last = i;
    at_start = line[i] == separator || (at_start && line[i] == ' ');
  }
  return quoted ? line.rfind(separator) : last;
}

bool IsNumber(const std::string& text) {
  const size_t digits = text.find_first_not_of("+-");
  return digits <= 1 && text.find_first_not_of("0123456789.", digits) == std::string::npos;
}

struct Row {
  std::string name, label;
  char separator = 0;  // 0: the line is no row
};

// The name and, behind the last separator, the label. Of the separators that the line has, that one is taken which leaves a
// number or the name of a class; tabs, commas and semicolons go before blanks, which names may hold.
Row SplitLine(const std::string& line, const ModelMeta& meta) {
  Row first;
  for (const char separator : {'\t', ',', ';', ' '}) {
    const size_t at = LastSeparator(line, separator);
    if (at == std::string::npos) continue;
    Row row{Unquoted(line.substr(0, at)), Unquoted(line.substr(at + 1)), separator};
    if (row.name.empty() || row.label.empty()) continue;
    const auto& names = meta.class_names;
    if (IsNumber(row.label) || std::find(names.begin(), names.end(), row.label) != names.end()) return row;
    if (!first.separator) first = row;
  }
  return first;
}

// The line that names the columns of a table, such as "image,label".
bool IsHeader(const Row& row, const ModelMeta& meta) {
  const auto& names = meta.class_names;
  return row.separator && row.separator != ' ' && !IsNumber(row.label) &&
         std::find(names.begin(), names.end(), row.label) == names.end();
}

LabelTexts ParseLines(std::string text, const std::string& where, const ModelMeta& meta) {
  if (text.compare(0, 3, "\xef\xbb\xbf") == 0) text.erase(0, 3);
  if (text.compare(0, 2, "\xff\xfe") == 0 || text.compare(0, 2, "\xfe\xff") == 0) {
    throw AppError(where + ": is UTF-16 text; save it as UTF-8");
  }
  LabelTexts labels;
  std::istringstream lines(text);
  std::string line;
  bool is_first = true;
  for (int number = 1; std::getline(lines, line); ++number) {
    line = Trimmed(line);
    if (line.empty()) continue;
    const Row row = SplitLine(line, meta);
    const bool skip = is_first && IsHeader(row, meta);
    is_first = false;
    if (skip) continue;
    const std::string place = where + " line " + std::to_string(number) + ": ";
    if (!row.separator) throw AppError(place + "expected 'image-name label', got '" + line + "'");
    if (!labels.emplace(row.name, LabelText{row.label, number}).second) {
      throw AppError(place + "'" + row.name + "' has a label already");
    }
  }
  if (labels.empty()) throw AppError(where + ": holds no labels");
  return labels;
}

std::string FileName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// Class number, -1 for a text that is none.
int ClassNumber(const std::string& text, const ModelMeta& meta) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size()) {
    return number >= 0 && number < meta.num_classes ? number : -1;
  }
  const auto found = std::find(meta.class_names.begin(), meta.class_names.end(), text);
  return found == meta.class_names.end() ? -1 : static_cast<int>(found - meta.class_names.begin());
}

Labels FromFile(const ImageIndex& index, const std::filesystem::path& file, const ModelMeta& meta) {
  const std::string where = "'" + file.string() + "'";
  const std::vector<uint8_t> bytes = ReadFile(file, kLargestLabelFile);
  const auto texts = file.extension() == ".json" ? ParseJson(bytes, where)
                                                 : ParseLines(std::string(bytes.begin(), bytes.end()), where, meta);
  std::unordered_map<std::string, int> name_counts;
  for (const auto& image : index.files) ++name_counts[FileName(image)];
  Labels labels;
  for (const auto& image : index.files) {
    auto found = texts.find(image);
    if (found == texts.end() && name_counts[FileName(image)] == 1) found = texts.find(FileName(image));
    if (found == texts.end()) throw AppError(where + " has no label for '" + image + "'");
    const auto& [text, line] = found->second;
    const int number = ClassNumber(text, meta);
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
