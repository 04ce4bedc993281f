#include "command.h"

#include <cstdio>
#include <exception>
#include <iostream>
#include <new>

#include <sched.h>

#include "app_error.h"

int AvailableCores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

int RunCommand(const std::function<int()>& program) {
  std::string message;
  int code = kExitFailure;
  try {
    code = program();
    std::cout.flush();
    return code;
  } catch (const AppError& error) {
    message = error.what();
    code = error.code();
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& error) {
    message = Reason(error.what());
  }
  std::cout.flush();
  std::fprintf(stderr, "error: %s\n", OneLine(message).c_str());
  return code;
}
