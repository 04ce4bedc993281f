#include "label_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>

#include "app_error.h"
#include "files.h"
#include "image_index.h"
#include "json_texts.h"

namespace resnet_zoo {

namespace {

constexpr size_t kLargestLabelFile = size_t{1} << 30;
constexpr int kMostClasses = 1 << 24;  // far more than any network has: what is beyond is a mistake
constexpr char kBlanks[] = " \t\r\f\v";

struct Line {
  int number;
  std::string text;
};

struct Row {
  int line;  // 0: of a JSON file
  std::string name, label;
};

std::string Trimmed(const std::string& text) {
  const size_t start = text.find_first_not_of(kBlanks), end = text.find_last_not_of(kBlanks);
  return start == std::string::npos ? std::string() : text.substr(start, end - start + 1);
}

bool IsNumber(const std::string& text) {
  const size_t digits = !text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0;
  return text.size() > digits && text.find_first_not_of("0123456789", digits) == std::string::npos;
}

std::string InSmallLetters(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// The lines that are not empty, without the blanks around them.
std::vector<Line> Lines(const std::string& text) {
  std::vector<Line> lines;
  int number = 1;
  for (size_t start = 0; start <= text.size(); ++number) {
    const size_t end = std::min(text.find('\n', start), text.size());
    const std::string line = Trimmed(text.substr(start, end - start));
    if (!line.empty()) lines.push_back({number, line});
    start = end + 1;
  }
  return lines;
}

// "my cat.jpg 3": the name of an image, then blanks and one word.
bool IsImageAndWord(const std::string& line) {
  const size_t blank = line.find_last_of(" \t\r\f\v;,");
  if (blank == std::string::npos || line[blank] != ' ' || blank + 1 == line.size()) return false;
  std::string name = line.substr(0, line.find_last_not_of(' ', blank) + 1);
  if (!name.empty() && name.back() == '"') name.pop_back();
  return IsImageName(name);
}

// What stands between name and label in every line; a blank where nothing else does.
char Separator(const std::vector<Line>& lines) {
  const auto first = lines.size() > 1 ? lines.begin() + 1 : lines.begin();  // the first one may be a header
  if (std::all_of(first, lines.end(), [](const Line& line) { return IsImageAndWord(line.text); })) return ' ';
  for (const char separator : {'\t', ';', ','}) {
    const auto has = [&](const Line& line) { return line.text.find(separator) != std::string::npos; };
    const auto one_word = [](const Line& line) { return line.text.find_first_of(kBlanks) == std::string::npos; };
    const bool all = std::all_of(lines.begin(), lines.end(), [&](const Line& line) { return has(line) || one_word(line); });
    if (all && std::any_of(lines.begin(), lines.end(), has)) return separator;
  }
  return ' ';
}

// One field of a table from `*at` on, which then stands on the separator or the end. None for quotes that do not fit.
std::optional<std::string> Field(const std::string& line, char separator, size_t* at) {
  while (*at < line.size() && line[*at] == ' ') ++*at;
  std::string field;
  if (*at == line.size() || line[*at] != '"') {
    const size_t end = std::min(line.find(separator, *at), line.size());
    field = line.substr(*at, end - *at);
    *at = end;
    return field;
  }
  for (++*at; *at < line.size(); ++*at) {
    if (line[*at] == '"') {
      ++*at;
      if (*at == line.size() || line[*at] == separator) return field;
      if (line[*at] != '"') return std::nullopt;  // two quotes stand for one
    }
    field += line[*at];
  }
  return std::nullopt;
}

std::string Unquoted(const std::string& field) {
  if (field.size() < 2 || field.front() != '"' || field.back() != '"') return field;
  std::string text = field.substr(1, field.size() - 2);
  for (size_t at = 0; (at = text.find("\"\"", at)) != std::string::npos; ++at) text.erase(at, 1);
  return text;
}

// Name and label of a line; empty ones where it does not hold these two.
Row Fields(const Line& line, char separator) {
  const std::string& text = line.text;
  if (separator == ' ') {  // the name may hold blanks
    const size_t blank = text.find_last_of(kBlanks);
    if (blank == std::string::npos) return {line.number, "", ""};
    return {line.number, Unquoted(Trimmed(text.substr(0, blank))), Unquoted(text.substr(blank + 1))};
  }
  size_t at = 0;
  const auto name = Field(text, separator, &at);
  if (!name || at == text.size()) return {line.number, "", ""};
  ++at;
  const auto label = Field(text, separator, &at);
  if (!label || at != text.size()) return {line.number, "", ""};
  return {line.number, text[0] == '"' ? *name : Trimmed(*name), Trimmed(*label)};
}

bool IsHeader(const std::vector<Row>& rows, const std::vector<std::string>& class_names) {
  constexpr std::array<const char*, 11> kNames = {"image",    "images",    "image_name", "image_id", "img", "file",
                                                  "filename", "file_name", "name",       "path",     "id"};
  constexpr std::array<const char*, 7> kLabels = {"label",    "labels", "class",   "class_name",
                                                  "class_id", "target", "category"};
  const Row& row = rows.front();
  if (IsImageName(row.name) || IsNumber(row.label)) return false;
  if (std::find(class_names.begin(), class_names.end(), row.label) != class_names.end()) return false;
  const auto among = [](const auto& words, const std::string& text) {
    return std::find(words.begin(), words.end(), InSmallLetters(text)) != words.end();
  };
  const bool numbers_follow =
      rows.size() > 1 && std::all_of(rows.begin() + 1, rows.end(), [](const Row& other) { return IsNumber(other.label); });
  return !class_names.empty() || (among(kNames, row.name) && among(kLabels, row.label)) || numbers_follow;
}

std::vector<Row> TextRows(const std::string& text, const std::vector<std::string>& class_names, const std::string& where) {
  const std::vector<Line> lines = Lines(text);
  const char separator = Separator(lines);
  std::vector<Row> rows;
  for (const Line& line : lines) {
    rows.push_back(Fields(line, separator));
    if (rows.back().name.empty() || rows.back().label.empty()) {
      throw AppError(where + " line " + std::to_string(line.number) + ": expected 'image-name label', got '" +
                     line.text.substr(0, 200) + "'");
    }
  }
  if (separator != ' ' && !rows.empty() && IsHeader(rows, class_names)) rows.erase(rows.begin());
  return rows;
}

std::vector<Row> JsonRows(const std::vector<uint8_t>& bytes, const std::string& where) {
  try {
    std::vector<Row> rows;
    for (const auto& [name, label] : ParseLabelJson(bytes)) rows.push_back({0, name, label});
    return rows;
  } catch (const AppError& problem) {
    throw AppError(where + ": expected a JSON object {\"image-name\": label}: " + problem.what());
  }
}

bool IsJson(const std::filesystem::path& file, const std::string& text) {
  const auto next = [&](size_t at) { return std::min(text.find_first_not_of(" \t\r\n", at), text.size()); };
  const size_t brace = next(0);
  if (file.extension() == ".json") return true;
  if (brace == text.size() || text[brace] != '{') return false;
  const size_t after = next(brace + 1);
  return after < text.size() && (text[after] == '"' || text[after] == '}');
}

bool IsClassNumber(const std::string& text) {
  int number = -1;
  const char* start = text.data() + (text[0] == '+' ? 1 : 0);
  const auto [end, error] = std::from_chars(start, text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0 && number < kMostClasses;
}

}  // namespace

std::unordered_map<std::string, LabelText> ReadLabelFile(const std::filesystem::path& file,
                                                         const std::vector<std::string>& class_names) {
  const std::string where = "'" + file.string() + "'";
  const std::vector<uint8_t> bytes = ReadFile(file, kLargestLabelFile);
  std::string text(bytes.begin(), bytes.end());
  if (text.find('\0') != std::string::npos) throw AppError(where + ": is not UTF-8 text (UTF-16?); save it as UTF-8");
  if (text.compare(0, 3, "\xef\xbb\xbf") == 0) text.erase(0, 3);
  const auto rows = IsJson(file, text) ? JsonRows(bytes, where) : TextRows(text, class_names, where);
  if (rows.empty()) throw AppError(where + ": holds no labels");
  const bool numbers = std::all_of(rows.begin(), rows.end(), [](const Row& row) { return IsNumber(row.label); });
  std::unordered_map<std::string, LabelText> labels;
  for (const Row& row : rows) {
    const std::string place = where + (row.line ? " line " + std::to_string(row.line) : "") + ": ";
    const std::string name = std::filesystem::path(row.name).lexically_normal().string();
    if (name.substr(0, 1) == "/" || ("/" + row.name + "/").find("/../") != std::string::npos) {
      throw AppError(place + "'" + row.name.substr(0, 200) + "' leads out of the folder of images");
    }
    if (numbers && !IsClassNumber(row.label)) {
      throw AppError(place + "the label of '" + name + "' must be a class number from 0 to " +
                     std::to_string(kMostClasses - 1) + ", got " + row.label.substr(0, 50));
    }
    if (!labels.emplace(name, LabelText{row.label, row.line, numbers}).second) {
      throw AppError(place + "'" + name.substr(0, 200) + "' has a label already");
    }
  }
  return labels;
}

}  // namespace resnet_zoo
