#include "classify_images.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <mutex>

#include "app_error.h"
#include "decode.h"
#include "files.h"
#include "json_texts.h"
#include "ordered_queue.h"
#include "preprocessing.h"
#include "results.h"
#include "worker_group.h"

namespace {

constexpr size_t kLargestImageFile = size_t{1} << 30;

struct Sample {
  std::vector<uint8_t> input;  // in the form that the model takes
  std::string problem;         // empty: the image was read
};

class Classifier {
 public:
  Classifier(InferenceBackend* backend, const ModelMeta& meta, const ImageIndex& index,
             const std::vector<std::string>& names, const std::vector<int>& labels, const ClassifyOptions& options)
      : backend_(backend), meta_(meta), index_(index), names_(names), labels_(labels), options_(options),
        queue_(index.files.size(), QueueCapacity(*backend, options)) {}

  ClassifyReport Run() {
    WarmUp(backend_);
    const auto start = std::chrono::steady_clock::now();
    WorkerGroup workers([this] { queue_.Stop(); });
    for (int i = 0; i < options_.decode_threads; ++i) workers.Start([this] { DecodeAll(); });
    for (int slot = 0; slot < backend_->NumSlots(); ++slot) workers.Start([this, slot] { InferAll(slot); });
    // An interrupt that comes after the last image changes nothing.
    report_.complete = workers.Wait() || report_.classified + report_.failed.size() == index_.files.size();
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    report_.latency = latency_.Summary();
    if (report_.complete && report_.classified + report_.failed.size() != index_.files.size()) {
      throw AppError(std::to_string(index_.files.size()) + " images were found, but " + std::to_string(report_.classified) +
                         " classified and " + std::to_string(report_.failed.size()) + " refused; this is a defect",
                     kExitFailure);
    }
    return std::move(report_);
  }

 private:
  // A full batch per slot, and the next one being decoded.
  static size_t QueueCapacity(const InferenceBackend& backend, const ClassifyOptions& options) {
    return static_cast<size_t>(2 * backend.Spec().batch + 2 * options.decode_threads);
  }

  void DecodeAll() {
    size_t number = 0;
    while (queue_.Claim(&number)) {
      Sample* sample = queue_.At(number);
      sample->input.resize(backend_->Spec().SampleBytes());
      sample->problem.clear();
      try {
        ReadSample(index_.root / index_.files[number], sample->input.data());
      } catch (const AppError& error) {
        sample->problem = error.what();
      } catch (const std::bad_alloc&) {
        sample->problem = "does not fit into memory";
      }
      queue_.Publish(number);
    }
  }

  void ReadSample(const std::filesystem::path& file, uint8_t* input) {
    const Preprocessing& preprocessing = meta_.preprocessing;
    const Image image = Decode(ReadFile(file, kLargestImageFile), preprocessing.antialias);
    if (backend_->Spec().input_type == InputType::kPixels) {
      ResizeAndCrop(image, preprocessing, input);
      return;
    }
    std::vector<uint8_t> crop(static_cast<size_t>(preprocessing.height) * static_cast<size_t>(preprocessing.width) * 3);
    ResizeAndCrop(image, preprocessing, crop.data());
    Normalize(crop.data(), preprocessing, reinterpret_cast<float*>(input));
  }

  void InferAll(int slot) {
    const ModelSpec& spec = backend_->Spec();
    const auto batch = static_cast<size_t>(spec.batch), classes = static_cast<size_t>(spec.num_classes);
    std::vector<uint8_t> input(spec.SampleBytes() * batch);
    std::vector<float> logits(batch * classes);
    std::vector<size_t> numbers;
    for (;;) {
      FillBatch(&input, &numbers);
      if (numbers.empty()) return;
      latency_.Add(backend_->Run(slot, input.data(), static_cast<int>(numbers.size()), logits.data()));
      for (size_t i = 0; i < numbers.size(); ++i) Store(numbers[i], logits.data() + i * classes);
    }
  }

  // Takes the next images that could be read, in order: which ones share a batch does not depend on timing.
  void FillBatch(std::vector<uint8_t>* input, std::vector<size_t>* numbers) {
    const size_t size = backend_->Spec().SampleBytes(), batch = static_cast<size_t>(backend_->Spec().batch);
    numbers->clear();
    queue_.Take([&](size_t number, Sample* sample) {
      if (sample->problem.empty()) {
        std::memcpy(input->data() + numbers->size() * size, sample->input.data(), size);
        numbers->push_back(number);
      } else {
        const std::lock_guard<std::mutex> lock(report_mutex_);
        report_.failed.push_back({index_.files[number], sample->problem});
      }
      return numbers->size() < batch;
    });
  }

  void Store(size_t number, const float* logits) {
    const auto classes = static_cast<size_t>(meta_.num_classes);
    for (size_t i = 0; i < classes; ++i) {
      if (!std::isfinite(logits[i])) {
        throw AppError("the network's output for '" + index_.files[number] + "' holds NaN or Inf; its weights are unusable",
                       kExitFailure);
      }
    }
    const std::filesystem::path stem = options_.result_folder / (names_[number] + "_0");
    switch (options_.format) {
      case ResultFormat::kBin:
        WriteFile(stem.string() + ".bin", EncodeBin(logits, classes));
        break;
      case ResultFormat::kTxt:
        WriteFile(stem.string() + ".txt", EncodeTxt(logits, classes, classes));
        break;
      case ResultFormat::kJson:
        WriteFile(stem.string() + ".json",
                  PredictionsJson(index_.files[number], logits, meta_.num_classes, meta_.class_names, options_.top_k));
        break;
    }
    const std::lock_guard<std::mutex> lock(report_mutex_);
    ++report_.classified;
    if (!labels_.empty()) report_.accuracy.Add(logits, meta_.num_classes, labels_[number]);
  }

  InferenceBackend* backend_;
  const ModelMeta& meta_;
  const ImageIndex& index_;
  const std::vector<std::string>& names_;
  const std::vector<int>& labels_;
  const ClassifyOptions& options_;
  OrderedQueue<Sample> queue_;
  LatencyRecorder latency_;
  std::mutex report_mutex_;
  ClassifyReport report_;
};

}  // namespace

ClassifyReport ClassifyImages(InferenceBackend* backend, const ModelMeta& meta, const ImageIndex& index,
                              const std::vector<std::string>& names, const std::vector<int>& labels,
                              const ClassifyOptions& options) {
  return Classifier(backend, meta, index, names, labels, options).Run();
}
