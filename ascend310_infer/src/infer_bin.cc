// Runs a model on .bin files: see README.md for the flags and the files that it writes.
#include <cstdio>
#include <ctime>
#include <iostream>

#include "app_error.h"
#include "backend.h"
#include "bin_inputs.h"
#include "bin_job.h"
#include "command.h"
#include "files.h"
#include "flags.h"
#include "json_texts.h"
#include "worker_group.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

namespace {

struct Flags {
  std::string model, input, output, folder, format = "BIN", device_type = "auto";
  int device = 0, batch = 0, threads = AvailableCores();
};

bool ParseFlags(int argc, char** argv, Flags* flags) {
  FlagParser parser("Usage: infer_bin --model MODEL --input FOLDER --output FOLDER [flags]");
  parser.AddText("--model", "the .om, .mindir or .onnx file", &flags->model);
  parser.AddAlias("--model_path", "--model");  // as infer_images calls them
  parser.AddAlias("--batch", "--batchsize");
  parser.AddText("--input", ".bin files or folders of them, separated by commas; the model's input as raw bytes",
                 &flags->input);
  parser.AddText("--output", "folder for the folder of results", &flags->output);
  parser.AddText("--output_dirname", "name of that folder [date and time]", &flags->folder);
  parser.AddChoice("--outfmt", "results as float32 values or as text [BIN]", {"BIN", "TXT"}, &flags->format);
  parser.AddChoice("--device_type", "what a .mindir runs on; auto takes an Ascend where there is one [auto]",
                   {"auto", "ascend", "cpu"}, &flags->device_type);
  parser.AddNumber("--device", "which Ascend device [0]", 0, 1023, &flags->device);
  parser.AddNumber("--batchsize", "images per inference [the model's own, of an .om the largest; 1 where it takes any]", 1,
                   kLargestBatch, &flags->batch);
  parser.AddNumber("--threads", "threads of the CPU backend [cores]", 1, 1024, &flags->threads);
  if (!parser.Parse(argc, argv)) {
    std::cout << parser.Help(ListBackends());
    return false;
  }
  for (const char* name : {"--model", "--input", "--output"}) {
    if (!parser.Given(name)) throw AppError(std::string(name) + ": no value; --help lists the flags");
  }
  return true;
}

std::string DateAndTime() {
  const std::time_t now = std::time(nullptr);
  char text[40];
  std::strftime(text, sizeof text, "%Y_%m_%d-%H_%M_%S", std::localtime(&now));
  return text;
}

int Run(int argc, char** argv) {
  Flags flags;
  if (!ParseFlags(argc, argv, &flags)) return kExitOk;
  BackendOptions options;
  options.model = flags.model;
  options.device = DeviceNamed(flags.device_type);
  options.device_id = flags.device;
  options.batch = flags.batch;
  options.threads = flags.threads;
  std::error_code error;
  if (!fs::is_regular_file(options.model, error)) throw AppError("--model: no such file '" + flags.model + "'");
  // The flag --precision is infer_images's alone.
  const auto backend = OpenBackend(options, {"--model", "--batchsize", "--precision", "--device_type"});
  const ModelSpec& spec = backend->Spec();
  const auto inputs = ForFlag("--input", [&] { return FindBinInputs(flags.input, spec.SampleBytes(), spec.batch); });
  const std::string name = flags.folder.empty() ? DateAndTime() : flags.folder;
  const fs::path folder = fs::path(flags.output) / name;
  ForFlag("--output", [&] { MakeFolder(folder); });
  RemoveLeftovers(folder);
  RemoveLeftovers(flags.output);
  const fs::path summary = fs::path(flags.output) / (name + "_summary.json");
  fs::remove(summary, error);  // of an earlier run
  for (const BinInput& input : inputs) {
    if (fs::equivalent(input.path.parent_path() / ".", folder, error)) {
      throw AppError("--output_dirname: '" + folder.string() +
                     "' holds inputs, which results could overwrite; name another");
    }
  }
  std::printf("%s: %s\n", Escaped(flags.model).c_str(), spec.description.c_str());

  CatchInterrupts();
  const bool text = flags.format == "TXT";
  BinJob job(spec, inputs, folder, text);
  const RunReport report = RunBatches(backend.get(), &job, 1);
  if (!report.complete) {
    throw AppError("interrupted; the results in " + folder.string() + " are complete files", kExitInterrupted);
  }
  WriteFile(summary, SummaryJson(inputs, folder, text ? ".txt" : ".bin", report.latency, report.SamplesPerSecond()));
  const LatencySummary& latency = report.latency;
  std::printf("files: %zu\nthroughput: %.2f img/s\n", inputs.size(), report.SamplesPerSecond());
  std::printf("latency (batch of %d): mean %.3f ms, median %.3f ms, p90 %.3f ms, p99 %.3f ms\n", spec.batch, latency.mean,
              latency.median, latency.p90, latency.p99);
  std::printf("results: %s\n", Escaped(folder.string()).c_str());
  return kExitOk;
}

}  // namespace

}  // namespace resnet_zoo

int main(int argc, char** argv) {
  return resnet_zoo::RunCommand([&] { return resnet_zoo::Run(argc, argv); });
}
