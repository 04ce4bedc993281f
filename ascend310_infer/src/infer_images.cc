// Classifies a folder of images: see README.md for the flags and the files that it writes.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "app_error.h"
#include "backend.h"
#include "classify_images.h"
#include "command.h"
#include "files.h"
#include "flags.h"
#include "image_index.h"
#include "labels.h"
#include "model_meta.h"
#include "results.h"
#include "worker_group.h"

namespace fs = std::filesystem;

namespace {

struct Flags {
  std::string model, dataset, label_file, output = ".", format = "BIN", precision = "f32";
  int device_id = 0, top_k = 5, batch = 0, threads = AvailableCores();
};

// False when --help was asked for.
bool ParseFlags(int argc, char** argv, Flags* flags) {
  FlagParser parser("Usage: infer_images --model_path MODEL --dataset_path FOLDER [flags]");
  parser.AddText("--model_path", "the export; MODEL.meta.json must lie beside it (also: --mindir_path)", &flags->model);
  parser.AddAlias("--mindir_path", "--model_path");
  parser.AddText("--dataset_path", "folder of JPEG and PNG files, at any depth, or one such file", &flags->dataset);
  parser.AddText("--label_file", "lines 'image-name label', or JSON; without it class folders give the labels",
                 &flags->label_file);
  parser.AddText("--output", "folder for result_Files, time_Result, acc.log and failed.txt [.]", &flags->output);
  parser.AddChoice("--outfmt", "results as float32 logits, as text, or as the likeliest classes [BIN]",
                   {"BIN", "TXT", "JSON"}, &flags->format);
  parser.AddNumber("--topk", "classes per image with --outfmt JSON [5]", 1, 1 << 24, &flags->top_k);
  parser.AddNumber("--device_id", "which Ascend device [0]", 0, 1023, &flags->device_id);
  parser.AddNumber("--batch", "images per inference [the model's own, of an .om the largest; 1 where it takes any]", 1,
                   kLargestBatch, &flags->batch);
  parser.AddNumber("--threads", "threads that decode, and threads of the CPU backend [cores]", 1, 1024, &flags->threads);
  parser.AddChoice("--precision", "of an .onnx model's arithmetic [f32]", {"f32", "bf16"}, &flags->precision);
  if (!parser.Parse(argc, argv)) {
    std::cout << parser.Help(ListBackends());
    return false;
  }
  for (const char* name : {"--model_path", "--dataset_path"}) {
    if (!parser.Given(name)) throw AppError(std::string(name) + ": no value; --help lists the flags");
  }
  if (parser.Given("--topk") && flags->format != "JSON") throw AppError("--topk: has an effect with --outfmt JSON only");
  return true;
}

void CheckFit(const ModelSpec& spec, const ModelMeta& meta, const std::string& model) {
  const Preprocessing& preprocessing = meta.preprocessing;
  const auto differ = [&](const std::string& what, int has, int says) {
    throw AppError("--model_path: '" + model + "' has " + what + " " + std::to_string(has) + ", but its .meta.json says " +
                   std::to_string(says) + "; export it again");
  };
  if (spec.num_classes != meta.num_classes) differ("num_classes", spec.num_classes, meta.num_classes);
  if (spec.height != preprocessing.height) differ("the input height", spec.height, preprocessing.height);
  if (spec.width != preprocessing.width) differ("the input width", spec.width, preprocessing.width);
}

// Every image that could not be read, or no file at all.
void WriteFailures(const fs::path& path, const std::vector<FailedImage>& failed) {
  std::string text;
  for (const auto& [file, reason] : failed) text += OneLine(file) + "\t" + OneLine(reason) + "\n";
  std::error_code error;
  failed.empty() ? static_cast<void>(fs::remove(path, error)) : WriteFile(path, text);
}

void PrintSummary(const ClassifyReport& report, const ModelSpec& spec, double images_per_second) {
  std::printf("images: %zu, failed: %zu\n", report.classified, report.failed.size());
  std::printf("throughput: %.2f img/s\n", images_per_second);
  std::printf("latency (batch of %d): median %.3f ms, p90 %.3f ms, p99 %.3f ms\n", spec.batch, report.latency.median,
              report.latency.p90, report.latency.p99);
}

int Run(int argc, char** argv) {
  Flags flags;
  if (!ParseFlags(argc, argv, &flags)) return kExitOk;
  const ModelMeta meta = ReadModelMeta(flags.model);
  const ImageIndex index = FindImages(flags.dataset);
  const std::vector<std::string> names = ResultNames(index.files);
  const Labels labels = FindLabels(index, flags.label_file, meta);
  if (index.passed_over)
    std::printf("%zu files that are no images (by their extension) were passed over\n", index.passed_over);

  BackendOptions backend_options{flags.model,   flags.device_id,           flags.batch,
                                 flags.threads, flags.precision == "bf16", meta.preprocessing};
  const auto backend = OpenBackend(backend_options);
  const ModelSpec& spec = backend->Spec();
  CheckFit(spec, meta, flags.model);
  std::printf("%s: %s\n", flags.model.c_str(), spec.description.c_str());

  const fs::path output = flags.output;
  PrepareResultFolder(output / "result_Files");
  MakeFolder(output / "time_Result");
  for (const char* stale : {"acc.log", "failed.txt", "time_Result/test_perform_static.txt"}) fs::remove(output / stale);
  const ResultFormat format = flags.format == "BIN"   ? ResultFormat::kBin
                              : flags.format == "TXT" ? ResultFormat::kTxt
                                                      : ResultFormat::kJson;
  CatchInterrupts();
  const ClassifyReport report = ClassifyImages(backend.get(), meta, index, names, labels.numbers,
                                               {output / "result_Files", format, flags.top_k, flags.threads});

  const double images_per_second = static_cast<double>(report.classified) / report.seconds;
  WriteFailures(output / "failed.txt", report.failed);
  WriteFile(output / "time_Result" / "test_perform_static.txt",
            PerformanceText(report.latency, spec.batch, report.classified, images_per_second));
  PrintSummary(report, spec, images_per_second);
  if (!report.complete) {
    throw AppError("interrupted: " + std::to_string(report.classified) + " of " + std::to_string(index.files.size()) +
                       " images are done; their results are complete",
                   kExitInterrupted);
  }
  if (labels.numbers.empty()) {
    std::printf("no accuracy: %s\n", labels.missing.c_str());
  } else if (report.classified) {
    std::printf("%s\n", report.accuracy.Line().c_str());
    WriteFile(output / "acc.log", report.accuracy.Line() + "\n");
  }
  if (report.failed.empty()) return kExitOk;
  const FailedImage& first = report.failed.front();
  throw AppError(std::to_string(report.failed.size()) + " of " + std::to_string(index.files.size()) +
                     " images could not be read, first " + first.file + ": " + first.reason + "; all are listed in " +
                     (output / "failed.txt").string(),
                 kExitUnreadable);
}

}  // namespace

int main(int argc, char** argv) {
  return RunCommand([&] { return Run(argc, argv); });
}
