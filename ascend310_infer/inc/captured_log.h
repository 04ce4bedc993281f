// What a library logs on standard error while it is called.
#pragma once

#include <cstdio>
#include <string>

namespace resnet_zoo {

// Keeps standard error to itself from construction to destruction. One object at a time; other threads must not report
// errors meanwhile.
class CapturedLog {
 public:
  CapturedLog();
  ~CapturedLog();
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  // What went wrong, by the lines "[ERROR] <where> <message>" so far; "" where there is none: a library that is missing,
  // of which there may be a warning only, else the first message that says more than that there was an exception.
  std::string Reason();

 private:
  std::FILE* file_ = nullptr;
  int standard_error_ = -1;
};

}  // namespace resnet_zoo
