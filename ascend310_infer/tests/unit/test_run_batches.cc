#include "run_batches.h"

#include <algorithm>
#include <set>

#include "scratch.h"

namespace resnet_zoo {

namespace {

// Its one logit is the first byte of a sample.
class FirstByte : public InferenceBackend {
 public:
  explicit FirstByte(int batch) {
    spec_.input_type = InputType::kPixels;
    spec_.height = spec_.width = spec_.num_classes = 1;
    spec_.batch = batch;
  }
  const ModelSpec& Spec() const override { return spec_; }
  int NumSlots() const override { return 2; }
  float Run(int, const uint8_t* input, int count, float* logits) override {
    for (int i = 0; i < count; ++i) logits[i] = input[static_cast<size_t>(i) * spec_.SampleBytes()];
    if (count == fails_at) throw AppError("the device failed", kExitFailure);
    const std::lock_guard<std::mutex> lock(mutex_);
    counts.push_back(count);
    return 1;
  }
  std::vector<int> counts;
  int fails_at = 0;

 private:
  ModelSpec spec_;
  std::mutex mutex_;
};

// Items of 1 to `largest` samples; every seventh cannot be read.
class Numbers : public BatchJob {
 public:
  Numbers(size_t count, size_t largest) : count_(count), largest_(largest) {}
  size_t NumItems() const override { return count_; }
  size_t NumSamples(size_t item) const override { return 1 + item % largest_; }
  std::string Read(size_t item, uint8_t* input) override {
    std::fill_n(input, 3 * NumSamples(item), static_cast<uint8_t>(item % 251));
    return item % 7 == 6 ? "seventh" : "";
  }
  void Store(size_t item, const float* logits) override {
    bool good = true;
    for (size_t i = 0; i < NumSamples(item); ++i) good = good && logits[i] == static_cast<float>(item % 251);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (good) stored.insert(item);
  }
  std::set<size_t> stored;

 private:
  const size_t count_, largest_;
  std::mutex mutex_;
};

}  // namespace

TEST_CASE("every item is stored or named, in full batches") {
  for (const size_t largest : {1, 3, 5}) {
    FirstByte backend(5);
    Numbers job(1000, largest);
    const RunReport report = RunBatches(&backend, &job, 3);
    CHECK(report.complete);
    CHECK(report.unusable.size() == 142);
    CHECK(report.unusable[1].item == 13);
    CHECK(report.unusable[1].reason == "seventh");
    CHECK(report.stored == 858);
    CHECK(job.stored.size() == 858);
    size_t samples = 0;
    for (size_t i = 0; i < 1000; ++i) samples += i % 7 == 6 ? 0 : job.NumSamples(i);
    CHECK(report.samples == samples);
    CHECK(report.latency.count == backend.counts.size() - 2);  // without the warm-up of two slots
    if (largest == 1) CHECK(report.latency.count == 172);      // 171 full batches and the rest
  }
}

TEST_CASE("an error of the backend ends the run") {
  FirstByte backend(2);
  backend.fails_at = 1;  // the last batch, of 857 images
  Numbers job(999, 1);
  CHECK_REFUSED(RunBatches(&backend, &job, 2), "the device failed");
}

TEST_CASE("no items") {
  FirstByte backend(2);
  Numbers job(0, 1);
  CHECK(RunBatches(&backend, &job, 2).stored == 0);
}

}  // namespace resnet_zoo
