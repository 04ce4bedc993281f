#include "app_error.h"

#include <algorithm>
#include <sstream>

namespace resnet_zoo {

std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < ' '; }, '?');
  return text;
}

std::string Reason(const std::string& message) {
  constexpr size_t kLongest = 300;
  std::istringstream lines(message);
  std::string line, first;
  while (std::getline(lines, line)) {
    const size_t start = line.find_first_not_of(" \t\r"), end = line.find_last_not_of(" \t\r");
    if (start == std::string::npos) continue;
    line = line.substr(start, end - start + 1);
    if (first.empty()) first = line;
    // OpenVINO starts with where in its sources the error was found, a line ending in ':' for each function.
    if (line.back() != ':') break;
  }
  if (!line.empty() && line.back() != ':') first = line;
  if (first.empty()) return "no reason given";
  return first.size() > kLongest ? first.substr(0, kLongest) + "..." : first;
}

}  // namespace resnet_zoo
