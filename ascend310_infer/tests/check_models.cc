// Looks through model files, one line of output each: "good", or why the file is refused. Usage: check_models FILE...
#include <iostream>

#include "app_error.h"
#include "check_model.h"
#include "command.h"
#include "files.h"

namespace resnet_zoo {

namespace {

int Run(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::filesystem::path path = argv[i];
    const auto bytes = ReadFile(path, size_t{1} << 30);
    try {
      if (path.extension() == ".onnx") {
        CheckOnnx(bytes.data(), bytes.size());
      } else {
        CheckMindir(bytes.data(), bytes.size());
      }
      std::cout << "good\n";
    } catch (const AppError& error) {
      std::cout << Escaped(error.what()) << "\n";
    }
  }
  return kExitOk;
}

}  // namespace

}  // namespace resnet_zoo

int main(int argc, char** argv) {
  return resnet_zoo::RunCommand([&] { return resnet_zoo::Run(argc, argv); });
}
