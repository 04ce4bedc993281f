#include "command.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>

#include <sched.h>

namespace resnet_zoo {

int AvailableCores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

std::unique_ptr<InferenceBackend> OpenBackend(const BackendOptions& options, const BackendFlags& flags) {
  try {
    return OpenBackend(options);
  } catch (const ModelError& error) {
    const char* flag = error.Which() == ModelError::kBatch       ? flags.batch
                       : error.Which() == ModelError::kPrecision ? flags.precision
                       : error.Which() == ModelError::kDevice    ? flags.device
                                                                 : flags.model;
    const std::string other_way = error.Which() == ModelError::kPrecision ? std::string("; or leave ") + flag + " out" : "";
    throw AppError(std::string(flag) + ": " + error.what() + other_way, error.Code());
  }
}

int RunCommand(const std::function<int()>& program) {
  std::string message;
  int code = kExitFailure;
  std::signal(SIGXFSZ, SIG_IGN);  // a limit of file sizes is an error of write() then
  try {
    code = program();
    if (std::fflush(stdout) == 0 && std::cout.flush()) return code;
    message = std::string("standard output: ") + std::strerror(errno);
    code = kExitFailure;
  } catch (const AppError& error) {
    message = error.what();
    code = error.Code();
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& error) {
    message = Reason(error.what());
  }
  std::fflush(stdout);
  std::fprintf(stderr, "error: %s\n", Escaped(message).c_str());
  return code;
}

}  // namespace resnet_zoo
