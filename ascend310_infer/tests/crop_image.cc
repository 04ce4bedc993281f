// Prints what the network would see: for the comparison with src/data/pipeline.py.
// Usage: crop_image HEIGHT WIDTH RESIZE|HEIGHTxWIDTH shorter|square sampling|averaging FILE...
// Writes for every file, to standard output, one byte 1 and the crop (HEIGHT * WIDTH * 3 bytes), or one byte 0.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "app_error.h"
#include "decode.h"
#include "files.h"

namespace resnet_zoo {

int Run(int argc, char** argv) {
  if (argc < 7) return kExitUsage;
  Preprocessing preprocessing;
  preprocessing.height = std::atoi(argv[1]);
  preprocessing.width = std::atoi(argv[2]);
  // A number, or height and width as in 64x48.
  if (std::sscanf(argv[3], "%dx%d", &preprocessing.resize_height, &preprocessing.resize_width) != 2) {
    preprocessing.resize_height = 0;
    preprocessing.resize = std::atoi(argv[3]);
  }
  preprocessing.square = argv[4] == std::string("square");
  preprocessing.antialias = argv[5] == std::string("averaging");
  std::vector<uint8_t> crop(static_cast<size_t>(preprocessing.height * preprocessing.width * 3));
  for (int i = 6; i < argc; ++i) {
    try {
      ResizeAndCrop(Decode(ReadFile(argv[i], 1 << 28), preprocessing.antialias), preprocessing, crop.data());
      std::cout.put(1);
      std::cout.write(reinterpret_cast<const char*>(crop.data()), static_cast<std::streamsize>(crop.size()));
    } catch (const AppError& error) {
      std::cerr << Escaped(std::string(argv[i]) + ": " + error.what()) << "\n";
      std::cout.put(0);
    }
  }
  return kExitOk;
}

}  // namespace resnet_zoo

int main(int argc, char** argv) { return resnet_zoo::Run(argc, argv); }
