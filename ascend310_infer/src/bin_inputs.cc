#include "bin_inputs.h"

#include <algorithm>
#include <cctype>
#include <sstream>
#include <unordered_map>

#include "app_error.h"
#include "files.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

namespace {

bool IsDigit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

std::vector<fs::path> BinFiles(const fs::path& input) {
  std::error_code error;
  if (fs::is_regular_file(input, error)) return {input};
  fs::directory_iterator entries(input, error);
  if (error) throw AppError("no such file or folder '" + input.string() + "'");
  std::vector<fs::path> files;
  for (const auto& entry : entries) {
    if (entry.path().extension() == ".bin" && entry.path().filename().string()[0] != '.') files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end(),
            [](const fs::path& a, const fs::path& b) { return NaturalLess(a.filename().string(), b.filename().string()); });
  return files;
}

}  // namespace

bool NaturalLess(const std::string& a, const std::string& b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (IsDigit(a[i]) && IsDigit(b[j])) {
      while (i < a.size() && a[i] == '0') ++i;
      while (j < b.size() && b[j] == '0') ++j;
      size_t x = i, y = j;
      while (x < a.size() && IsDigit(a[x])) ++x;
      while (y < b.size() && IsDigit(b[y])) ++y;
      if (x - i != y - j) return x - i < y - j;
      const int order = a.compare(i, x - i, b, j, y - j);
      if (order != 0) return order < 0;
      i = x;
      j = y;
    } else {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
      ++i;
      ++j;
    }
  }
  if (i == a.size() && j == b.size()) return a < b;  // "01" and "1"
  return i == a.size();
}

std::vector<BinInput> FindBinInputs(const std::string& inputs, size_t sample_bytes, int batch) {
  std::vector<BinInput> found;
  std::unordered_map<std::string, std::string> owners;
  std::istringstream list(inputs);
  std::string input;
  while (std::getline(list, input, ',')) {
    for (const fs::path& path : BinFiles(input)) {
      std::error_code error;
      const auto size = fs::file_size(path, error);
      if (error) throw AppError(path.string() + ": " + error.message(), kExitFailure);
      const size_t samples = size / sample_bytes;
      if (size % sample_bytes != 0 || samples == 0 || samples > static_cast<size_t>(batch)) {
        throw AppError(path.string() + ": has " + std::to_string(size) + " bytes; expected " + std::to_string(sample_bytes) +
                       (batch > 1 ? " per image, 1 to " + std::to_string(batch) + " images" : ", one image"));
      }
      const std::string name = path.filename().string();
      const std::string result = name.substr(0, name.find('.'));
      if (result.size() > kLongestName) {
        throw AppError("the name of the results of '" + path.string() + "' would be too long (" +
                       std::to_string(result.size()) + " bytes, the most are " + std::to_string(kLongestName) +
                       "); rename it");
      }
      const auto [owner, is_new] = owners.emplace(result, path.string());
      if (!is_new) {
        throw AppError("the results of '" + owner->second + "' and '" + path.string() + "' would both be named " + result +
                       "; rename one of them");
      }
      found.push_back({path, result, samples});
    }
  }
  if (found.empty()) throw AppError("no .bin files in '" + inputs + "'");
  return found;
}

}  // namespace resnet_zoo
