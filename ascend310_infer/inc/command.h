// What the two programs share: cores, the flags in errors, and errors as one line.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app_error.h"
#include "backend.h"

namespace resnet_zoo {

// Cores that this process may use.
int AvailableCores();

// The result of `call`; an AppError that it throws gets the name of the flag whose value it is about.
template <typename Call>
auto ForFlag(const char* flag, Call call) -> decltype(call()) {
  try {
    return call();
  } catch (const AppError& error) {
    throw AppError(std::string(flag) + ": " + error.what(), error.Code());
  }
}

// A program's flags for the members of BackendOptions that a model may not take.
struct BackendFlags {
  const char *model, *batch, *precision, *device;
};

// OpenBackend, with errors that name the flags.
std::unique_ptr<InferenceBackend> OpenBackend(const BackendOptions& options, const BackendFlags& flags);

// Runs a program; an AppError or another failure becomes one line on stderr. Returns the exit code.
int RunCommand(const std::function<int()>& program);

}  // namespace resnet_zoo
