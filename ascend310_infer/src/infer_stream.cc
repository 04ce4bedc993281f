// Runs a model for another program, which writes inputs to standard input and reads logits from standard output: see
// README.md for the flags and the bytes.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <vector>

#include <unistd.h>

#include "app_error.h"
#include "backend.h"
#include "command.h"
#include "files.h"
#include "flags.h"

namespace resnet_zoo {

namespace {

struct Flags {
  std::string model, device = "auto";
  int device_id = 0, batch = 0, threads = AvailableCores();
};

bool ParseFlags(int argc, char** argv, Flags* flags) {
  FlagParser parser("Usage: infer_stream --model_path MODEL [flags] <INPUTS >LOGITS");
  parser.AddText("--model_path", "the .om, .mindir or .onnx file", &flags->model);
  parser.AddChoice("--device", "what a .mindir runs on; auto takes an Ascend where there is one [auto]",
                   {"auto", "ascend", "cpu"}, &flags->device);
  parser.AddNumber("--device_id", "which Ascend device [0]", 0, 1023, &flags->device_id);
  parser.AddNumber("--batch", "images per inference [the model's own, of an .om the largest; 1 where it takes any]", 1,
                   kLargestBatch, &flags->batch);
  parser.AddNumber("--threads", "threads of the CPU backend [cores]", 1, 1024, &flags->threads);
  if (!parser.Parse(argc, argv)) {
    std::cout << parser.Help(ListBackends());
    return false;
  }
  if (!parser.Given("--model_path")) throw AppError("--model_path: no value; --help lists the flags");
  return true;
}

// Standard output for the logits alone: what a library prints there goes to standard error from here on.
std::FILE* TakeStandardOutput() {
  std::FILE* output = fdopen(dup(STDOUT_FILENO), "wb");
  if (!output || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    throw AppError(std::string("standard output: ") + std::strerror(errno), kExitFailure);
  }
  return output;
}

void Write(std::FILE* output, const void* data, size_t size) {
  if (std::fwrite(data, 1, size, output) != size || std::fflush(output) != 0) {
    throw AppError(std::string("standard output: ") + std::strerror(errno), kExitFailure);
  }
}

int Run(int argc, char** argv) {
  Flags flags;
  if (!ParseFlags(argc, argv, &flags)) return kExitOk;
  std::error_code error;
  if (!std::filesystem::is_regular_file(flags.model, error)) {
    throw AppError("--model_path: no such file '" + flags.model + "'");
  }
  std::FILE* output = TakeStandardOutput();
  BackendOptions options;
  options.model = flags.model;
  options.device = DeviceNamed(flags.device);
  options.device_id = flags.device_id;
  options.batch = flags.batch;
  options.threads = flags.threads;
  const auto backend = OpenBackend(options, {"--model_path", "--batch", "--precision", "--device"});
  const ModelSpec& spec = backend->Spec();
  const bool pixels = spec.input_type == InputType::kPixels;
  const std::string head = (pixels ? "uint8 " : "float32 ") + std::to_string(spec.height) + " " +
                           std::to_string(spec.width) + " " + std::to_string(spec.num_classes) + " " +
                           std::to_string(spec.batch) + "\n";
  Write(output, head.data(), head.size());
  std::vector<uint8_t> input(spec.SampleBytes() * static_cast<size_t>(spec.batch));
  std::vector<float> logits(static_cast<size_t>(spec.batch) * static_cast<size_t>(spec.num_classes));
  for (uint32_t count = 0; std::fread(&count, sizeof count, 1, stdin) == 1;) {
    const size_t size = spec.SampleBytes() * count;
    if (count < 1 || count > static_cast<uint32_t>(spec.batch) || std::fread(input.data(), 1, size, stdin) != size) {
      throw AppError("standard input: " + std::to_string(count) +
                     " images were announced, which did not come or are none to " + std::to_string(spec.batch));
    }
    backend->Run(0, input.data(), static_cast<int>(count), logits.data());
    Write(output, logits.data(), count * static_cast<size_t>(spec.num_classes) * sizeof(float));
  }
  return kExitOk;
}

}  // namespace

}  // namespace resnet_zoo

int main(int argc, char** argv) {
  return resnet_zoo::RunCommand([&] { return resnet_zoo::Run(argc, argv); });
}
