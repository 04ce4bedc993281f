// Prints what the programs understand of a model's description, one "field: value" per line: for the comparison with the
// Python reader. Usage: describe_model MODEL
#include <iostream>

#include "command.h"
#include "model_meta.h"

namespace resnet_zoo {

namespace {

template <typename Values>
void Print(const std::string& field, const Values& values) {
  std::cout << field << ":";
  for (const auto& value : values) std::cout << " " << value;
  std::cout << "\n";
}

void Print(const std::string& field, const std::string& value) { std::cout << field << ": " << value << "\n"; }

void Print(const std::string& field, const TensorInfo& tensor) {
  Print(field + ".name", tensor.name);
  Print(field + ".dtype", tensor.dtype);
  Print(field + ".format", tensor.format);
  Print(field + ".shape", tensor.shape);
}

int Run(int argc, char** argv) {
  if (argc != 2) return kExitUsage;
  const ModelMeta meta = ReadModelMeta(argv[1]);
  std::cout.precision(9);
  Print("file_format", meta.file_format);
  Print("backbone", meta.backbone);
  Print("num_classes", std::to_string(meta.num_classes));
  Print("class_names", meta.class_names);
  Print("batch_sizes", meta.batch_sizes);
  Print("input", meta.input);
  Print("output", meta.output);
  const Preprocessing& preprocessing = meta.preprocessing;
  Print("image_size", std::vector<int>{preprocessing.height, preprocessing.width});
  if (preprocessing.resize_height) {
    Print("resize", std::vector<int>{preprocessing.resize_height, preprocessing.resize_width});
  } else {
    Print("resize", std::to_string(preprocessing.resize));
  }
  Print("resize_mode", std::string(preprocessing.square ? "square" : "shorter"));
  Print("antialias", std::string(preprocessing.antialias ? "True" : "False"));
  Print("mean", preprocessing.mean);
  Print("std", preprocessing.std);
  return kExitOk;
}

}  // namespace

}  // namespace resnet_zoo

int main(int argc, char** argv) {
  return resnet_zoo::RunCommand([&] { return resnet_zoo::Run(argc, argv); });
}
