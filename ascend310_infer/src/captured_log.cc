#include "captured_log.h"

#include <sstream>

#include <unistd.h>

namespace resnet_zoo {

namespace {

// "[ERROR] LITE(1,2,program):<time> [<file>:<line>] <function>] <message>" without what stands before the message.
std::string Message(const std::string& line) {
  const size_t file = line.find(" [", 1), function = line.find("] ", file), message = line.find("] ", function + 1);
  return message == std::string::npos ? line : line.substr(message + 2);
}

// What follows the last `word` of a text, or all of it.
std::string After(const std::string& word, const std::string& text) {
  const size_t at = text.rfind(word);
  return at == std::string::npos ? text : text.substr(at + word.size());
}

}  // namespace

CapturedLog::CapturedLog() {
  file_ = std::tmpfile();
  standard_error_ = dup(STDERR_FILENO);
  if (file_ && standard_error_ >= 0) dup2(fileno(file_), STDERR_FILENO);
}

CapturedLog::~CapturedLog() {
  if (standard_error_ >= 0) {
    dup2(standard_error_, STDERR_FILENO);
    close(standard_error_);
  }
  if (file_) std::fclose(file_);
}

std::string CapturedLog::Reason() {
  if (!file_) return "";
  std::string text;
  std::rewind(file_);
  for (int character = std::fgetc(file_); character != EOF && text.size() < (1U << 20U); character = std::fgetc(file_)) {
    text += static_cast<char>(character);
  }
  std::istringstream lines(text);
  std::string first, missing_library;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("cannot open shared object file") != std::string::npos) missing_library = After("error: ", line);
    const bool is_error = line.rfind("[ERROR]", 0) == 0 || line.rfind("[CRITICAL]", 0) == 0;
    if (!is_error || line.find("null exception handler") != std::string::npos || !first.empty()) continue;
    first = After("Catch exception: ", Message(line));
  }
  return missing_library.empty() ? first : missing_library;
}

}  // namespace resnet_zoo
