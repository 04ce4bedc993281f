// Prints the pixels of images: for the comparison with Pillow. Usage: decode_image FILE...
// Writes for every file a PPM (P6) to standard output; or the line "refused: reason".
#include <iostream>

#include "app_error.h"
#include "command.h"
#include "decode.h"
#include "files.h"

namespace resnet_zoo {

namespace {

int Run(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    try {
      const Image image = Decode(ReadFile(argv[i], size_t{1} << 28), true);
      std::cout << "P6\n" << image.width << " " << image.height << "\n255\n";
      std::cout.write(reinterpret_cast<const char*>(image.pixels.data()), static_cast<std::streamsize>(image.pixels.size()));
    } catch (const AppError& error) {
      std::cout << "refused: " << Escaped(error.what()) << "\n";
    }
  }
  return kExitOk;
}

}  // namespace

}  // namespace resnet_zoo

int main(int argc, char** argv) {
  return resnet_zoo::RunCommand([&] { return resnet_zoo::Run(argc, argv); });
}
