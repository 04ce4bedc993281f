// What the unit tests share: a folder of their own, and the check of a refusal.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

#include "app_error.h"

namespace resnet_zoo {

// An empty folder, removed with what is in it when a test ends.
struct Scratch {
  std::filesystem::path scratch;
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "infer_test.XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error(name);
    scratch = name;
  }
  ~Scratch() { std::filesystem::remove_all(scratch); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

}  // namespace resnet_zoo

// The call throws an AppError whose message holds `part`.
#define CHECK_REFUSED(call, part) \
  CHECK_THROWS_WITH_AS(static_cast<void>(call), doctest::Contains(part), resnet_zoo::AppError)
