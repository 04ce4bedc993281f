#include "captured_log.h"

#include <cstdlib>
#include <sstream>

#include <unistd.h>

namespace resnet_zoo {

namespace {

// "[ERROR] LITE(1,2,program):<time> [<file>:<line>] <function>] <message>" without what stands before the message.
std::string Message(const std::string& line) {
  const size_t file = line.find(" [", 1), function = line.find("] ", file), message = line.find("] ", function + 1);
  return message == std::string::npos ? line : line.substr(message + 2);
}

}  // namespace

CapturedLog::CapturedLog() {
  if (std::getenv("GLOG_v")) return;
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

std::string CapturedLog::FirstError() {
  if (!file_) return "";
  std::string text;
  std::rewind(file_);
  for (int character = std::fgetc(file_); character != EOF && text.size() < (1U << 20U); character = std::fgetc(file_)) {
    text += static_cast<char>(character);
  }
  for (const char* level : {"[ERROR]", "[CRITICAL]", "[WARNING]"}) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.rfind(level, 0) == 0) return Message(line);
    }
  }
  return "";
}

}  // namespace resnet_zoo
