// What the two programs share: cores, and errors as one line.
#pragma once

#include <functional>

// Cores that this process may use.
int AvailableCores();

// Runs a program; an AppError or another failure becomes one line on stderr. Returns the exit code.
int RunCommand(const std::function<int()>& program);
