// Runs a model on .bin files: see README.md for the flags and the files that it writes.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <iostream>

#include "app_error.h"
#include "backend.h"
#include "bin_inputs.h"
#include "command.h"
#include "files.h"
#include "flags.h"
#include "json_texts.h"
#include "latency.h"
#include "ordered_queue.h"
#include "results.h"
#include "worker_group.h"

namespace fs = std::filesystem;

namespace {

struct Flags {
  std::string model, input, output, folder, format = "BIN";
  int device = 0, batch = 0, threads = AvailableCores();
};

bool ParseFlags(int argc, char** argv, Flags* flags) {
  FlagParser parser("Usage: infer_bin --model MODEL --input FOLDER --output FOLDER [flags]");
  parser.AddText("--model", "the .om, .mindir or .onnx file", &flags->model);
  parser.AddAlias("--model_path", "--model");  // as infer_images, and the messages of the backends, call them
  parser.AddAlias("--batch", "--batchsize");
  parser.AddText("--input", ".bin files or folders of them, separated by commas; the model's input as raw bytes",
                 &flags->input);
  parser.AddText("--output", "folder for the folder of results", &flags->output);
  parser.AddText("--output_dirname", "name of that folder [date and time]", &flags->folder);
  parser.AddChoice("--outfmt", "results as float32 values or as text [BIN]", {"BIN", "TXT"}, &flags->format);
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

// Files that share a batch: [first, end) of the inputs, `samples` images.
struct Batch {
  size_t first, end, samples;
};

std::vector<Batch> MakeBatches(const std::vector<BinInput>& inputs, size_t size) {
  std::vector<Batch> batches;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (batches.empty() || batches.back().samples + inputs[i].samples > size) batches.push_back({i, i, 0});
    batches.back().end = i + 1;
    batches.back().samples += inputs[i].samples;
  }
  return batches;
}

class Runner {
 public:
  Runner(InferenceBackend* backend, const std::vector<BinInput>& inputs, fs::path folder, bool text)
      : backend_(backend), inputs_(inputs), folder_(std::move(folder)), text_(text),
        batches_(MakeBatches(inputs, static_cast<size_t>(backend->Spec().batch))),
        queue_(batches_.size(), static_cast<size_t>(2 * backend->NumSlots())) {}

  // False after Ctrl-C.
  bool Run() {
    WarmUp(backend_);
    const auto start = std::chrono::steady_clock::now();
    WorkerGroup workers([this] { queue_.Stop(); });
    workers.Start([this] { ReadAll(); });
    for (int slot = 0; slot < backend_->NumSlots(); ++slot) workers.Start([this, slot] { InferAll(slot); });
    const bool complete = workers.Wait();
    seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return complete || latency_.Summary().count == batches_.size();
  }

  LatencySummary Latency() const { return latency_.Summary(); }

  double ImagesPerSecond() const {
    size_t images = 0;
    for (const Batch& batch : batches_) images += batch.samples;
    return static_cast<double>(images) / seconds_;
  }

 private:
  void ReadAll() {
    const size_t sample = backend_->Spec().SampleBytes();
    size_t number = 0;
    while (queue_.Claim(&number)) {
      std::vector<uint8_t>* bytes = queue_.At(number);
      bytes->clear();
      for (size_t i = batches_[number].first; i < batches_[number].end; ++i) {
        const auto file = ReadFile(inputs_[i].path, inputs_[i].samples * sample);
        if (file.size() != inputs_[i].samples * sample) {
          throw AppError(inputs_[i].path.string() + ": has changed while it was read", kExitFailure);
        }
        bytes->insert(bytes->end(), file.begin(), file.end());
      }
      queue_.Publish(number);
    }
  }

  void InferAll(int slot) {
    const auto classes = static_cast<size_t>(backend_->Spec().num_classes);
    std::vector<float> logits(static_cast<size_t>(backend_->Spec().batch) * classes);
    for (;;) {
      std::vector<uint8_t> bytes;
      size_t taken = batches_.size();
      queue_.Take([&](size_t number, std::vector<uint8_t>* item) {
        taken = number;
        bytes.swap(*item);
        return false;
      });
      if (taken == batches_.size()) return;
      const Batch& batch = batches_[taken];
      const float milliseconds = backend_->Run(slot, bytes.data(), static_cast<int>(batch.samples), logits.data());
      const float* row = logits.data();
      for (size_t i = batch.first; i < batch.end; ++i) {
        const size_t count = inputs_[i].samples * classes;
        const fs::path stem = folder_ / (inputs_[i].result_name + "_0");
        text_ ? WriteFile(stem.string() + ".txt", EncodeTxt(row, count, classes))
              : WriteFile(stem.string() + ".bin", EncodeBin(row, count));
        row += count;
      }
      latency_.Add(milliseconds);
    }
  }

  InferenceBackend* backend_;
  const std::vector<BinInput>& inputs_;
  const fs::path folder_;
  const bool text_;
  const std::vector<Batch> batches_;
  OrderedQueue<std::vector<uint8_t>> queue_;
  LatencyRecorder latency_;  // one entry per batch whose results are written
  double seconds_ = 0;
};

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
  options.device_id = flags.device;
  options.batch = flags.batch;
  options.threads = flags.threads;
  std::error_code error;
  if (!fs::is_regular_file(options.model, error)) throw AppError("--model: no such file '" + flags.model + "'");
  const auto backend = OpenBackend(options);
  const ModelSpec& spec = backend->Spec();
  const auto inputs = FindBinInputs(flags.input, spec.SampleBytes(), spec.batch);
  const std::string name = flags.folder.empty() ? DateAndTime() : flags.folder;
  const fs::path folder = fs::path(flags.output) / name;
  MakeFolder(folder);
  const fs::path summary = fs::path(flags.output) / (name + "_summary.json");
  fs::remove(summary, error);  // of an earlier run
  for (const BinInput& input : inputs) {
    if (fs::equivalent(input.path.parent_path() / ".", folder, error)) {
      throw AppError("--output_dirname: '" + folder.string() +
                     "' holds inputs, which results could overwrite; name another");
    }
  }
  std::printf("%s: %s\n", flags.model.c_str(), spec.description.c_str());

  CatchInterrupts();
  Runner runner(backend.get(), inputs, folder, flags.format == "TXT");
  if (!runner.Run())
    throw AppError("interrupted; the results in " + folder.string() + " are complete files", kExitInterrupted);
  const LatencySummary latency = runner.Latency();
  WriteFile(summary,
            SummaryJson(inputs, folder, flags.format == "TXT" ? ".txt" : ".bin", latency, runner.ImagesPerSecond()));
  std::printf(
      "files: %zu\nthroughput: %.2f img/s\nlatency (batch of %d): mean %.3f ms, median %.3f ms, p90 %.3f ms, p99 %.3f "
      "ms\nresults: %s\n",
      inputs.size(), runner.ImagesPerSecond(), spec.batch, latency.mean, latency.median, latency.p90, latency.p99,
      folder.c_str());
  return kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  return RunCommand([&] { return Run(argc, argv); });
}
