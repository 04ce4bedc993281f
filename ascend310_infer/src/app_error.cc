#include "app_error.h"

#include <algorithm>
#include <sstream>

namespace resnet_zoo {

namespace {

// Bytes of the UTF-8 character at `at`, 0 where there is none. RFC 3629, section 4.
size_t CharacterSize(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto follows = [&](size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned first = byte(at), second = byte(at + 1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf && follows(at + 1)) return 2;
  const unsigned lowest = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const unsigned highest = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest || !follows(at + 2)) return 0;
  if (first >= 0xe0 && first <= 0xef) return 3;
  return first >= 0xf0 && first <= 0xf4 && follows(at + 3) ? 4 : 0;
}

// Control characters of ASCII and Latin-1, and those that turn the direction of writing or break lines (U+2028 to U+202E,
// U+2066 to U+2069).
bool IsControl(const std::string& character) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  if (character.size() == 1) return byte(0) < 0x20 || byte(0) == 0x7f;
  if (character.size() == 2) return byte(0) == 0xc2 && byte(1) < 0xa0;
  if (character.size() != 3 || byte(0) != 0xe2) return false;
  return (byte(1) == 0x80 && byte(2) >= 0xa8 && byte(2) <= 0xae) || (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9);
}

void AppendEscaped(unsigned char byte, std::string* text) {
  constexpr char kDigits[] = "0123456789abcdef";
  const char* short_form = byte == '\n' ? "\\n" : byte == '\t' ? "\\t" : byte == '\r' ? "\\r" : nullptr;
  if (short_form) {
    *text += short_form;
  } else {
    *text += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
}

}  // namespace

std::string Escaped(const std::string& text) {
  std::string escaped;
  for (size_t at = 0; at < text.size();) {
    const size_t size = CharacterSize(text, at);
    const std::string character = text.substr(at, std::max<size_t>(size, 1));
    if (size && !IsControl(character)) {
      escaped += character;
    } else {
      for (const char byte : character) AppendEscaped(static_cast<unsigned char>(byte), &escaped);
    }
    at += character.size();
  }
  return escaped;
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
