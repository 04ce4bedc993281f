// Classifies a folder of images: see README.md for the flags and the files that it writes.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "app_error.h"
#include "backend.h"
#include "command.h"
#include "files.h"
#include "flags.h"
#include "image_index.h"
#include "image_job.h"
#include "labels.h"
#include "model_meta.h"
#include "results.h"
#include "worker_group.h"

namespace resnet_zoo {

namespace fs = std::filesystem;

namespace {

struct Flags {
  std::string model, dataset, label_file, output = ".", format = "BIN", precision = "f32", device = "auto";
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
  parser.AddChoice("--device", "what a .mindir runs on; auto takes an Ascend where there is one [auto]",
                   {"auto", "ascend", "cpu"}, &flags->device);
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
  if (spec.channels != preprocessing.channels) differ("the input channels", spec.channels, preprocessing.channels);
}

// Every image that could not be read, or no file at all.
void WriteFailures(const fs::path& path, const ImageIndex& index, const std::vector<UnusableItem>& failed) {
  std::string text;
  for (const auto& [item, reason] : failed) text += Escaped(index.files[item]) + "\t" + Escaped(reason) + "\n";
  std::error_code error;
  failed.empty() ? static_cast<void>(fs::remove(path, error)) : WriteFile(path, text);
}

void PrintSummary(const RunReport& report, const ModelSpec& spec) {
  std::printf("images: %zu, failed: %zu\n", report.stored, report.unusable.size());
  std::printf("throughput: %.2f img/s\n", report.SamplesPerSecond());
  std::printf("latency (batch of %d): median %.3f ms, p90 %.3f ms, p99 %.3f ms\n", spec.batch, report.latency.median,
              report.latency.p90, report.latency.p99);
}

// What a run leaves in `output` besides the results, and its exit code as an AppError where not all was done.
void Report(const fs::path& output, const RunReport& report, const ModelSpec& spec, const ImageIndex& index,
            const Labels& labels, const Accuracy& accuracy) {
  WriteFailures(output / "failed.txt", index, report.unusable);
  WriteFile(output / "time_Result" / "test_perform_static.txt",
            PerformanceText(report.latency, spec.batch, report.stored, report.SamplesPerSecond()));
  PrintSummary(report, spec);
  if (!report.complete) {
    throw AppError("interrupted: " + std::to_string(report.stored) + " of " + std::to_string(index.files.size()) +
                       " images are done; their results are complete",
                   kExitInterrupted);
  }
  if (labels.numbers.empty()) {
    std::printf("no accuracy: %s\n", Escaped(labels.missing).c_str());
  } else if (report.stored) {
    std::printf("%s\n", accuracy.Line().c_str());
    WriteFile(output / "acc.log", accuracy.Line() + "\n");
  }
  if (report.unusable.empty()) return;
  const UnusableItem& first = report.unusable.front();
  throw AppError(std::to_string(report.unusable.size()) + " of " + std::to_string(index.files.size()) +
                     " images could not be read, first " + index.files[first.item] + ": " + first.reason +
                     "; all are listed in " + (output / "failed.txt").string(),
                 kExitUnreadable);
}

ResultFormat FormatNamed(const std::string& name) {
  return name == "BIN" ? ResultFormat::kBin : name == "TXT" ? ResultFormat::kTxt : ResultFormat::kJson;
}

int Run(int argc, char** argv) {
  Flags flags;
  if (!ParseFlags(argc, argv, &flags)) return kExitOk;
  const ModelMeta meta = ForFlag("--model_path", [&] { return ReadModelMeta(flags.model); });
  const ImageIndex index = ForFlag("--dataset_path", [&] { return FindImages(flags.dataset); });
  const fs::path output = flags.output;
  const ImageResults results{output / "result_Files", ForFlag("--dataset_path", [&] { return ResultNames(index.files); }),
                             FormatNamed(flags.format), flags.top_k};
  const Labels labels = ForFlag("--label_file", [&] { return FindLabels(index, flags.label_file, meta); });
  if (!index.passed_over.empty()) std::printf("%s\n", Escaped(PassedOver(index)).c_str());

  const BackendOptions options{flags.model,   DeviceNamed(flags.device), flags.device_id,   flags.batch,
                               flags.threads, flags.precision == "bf16", meta.preprocessing};
  const auto backend = OpenBackend(options, {"--model_path", "--batch", "--precision", "--device"});
  const ModelSpec& spec = backend->Spec();
  CheckFit(spec, meta, flags.model);
  std::printf("%s: %s\n", Escaped(flags.model).c_str(), spec.description.c_str());

  ForFlag("--output", [&] {
    PrepareResultFolder(results.folder);
    MakeFolder(output / "time_Result");
    RemoveLeftovers(output);
    RemoveLeftovers(output / "time_Result");
  });
  for (const char* stale : {"acc.log", "failed.txt", "time_Result/test_perform_static.txt"}) fs::remove(output / stale);
  CatchInterrupts();
  ImageJob job(spec, meta, index, labels.numbers, results);
  const RunReport report = RunBatches(backend.get(), &job, flags.threads);
  Report(output, report, spec, index, labels, job.GetAccuracy());
  return kExitOk;
}

}  // namespace

}  // namespace resnet_zoo

int main(int argc, char** argv) {
  return resnet_zoo::RunCommand([&] { return resnet_zoo::Run(argc, argv); });
}
