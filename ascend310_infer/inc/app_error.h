// Errors that the user can mend: one line saying what is wrong, with which value, and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace resnet_zoo {

enum ExitCode {
  kExitOk = 0,
  kExitFailure = 1,     // the disk, the device or the SDK failed
  kExitUsage = 2,       // wrong flag, model or data
  kExitUnreadable = 3,  // everything was done, but some inputs could not be read
  kExitInterrupted = 130,
};

class AppError : public std::runtime_error {
 public:
  explicit AppError(const std::string& message, ExitCode code = kExitUsage) : std::runtime_error(message), code_(code) {}
  ExitCode Code() const { return code_; }

 private:
  ExitCode code_;
};

// The text with control characters as \n, \t, \x1b and so on, so that a name can neither break a line nor command a
// terminal; so are bytes that are not UTF-8 and characters that turn the direction of writing.
std::string Escaped(const std::string& text);

// The first line of a library's message that says what is wrong, for use inside an AppError.
std::string Reason(const std::string& message);

}  // namespace resnet_zoo
