#include "run_batches.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <mutex>

#include "app_error.h"
#include "ordered_queue.h"
#include "worker_group.h"

namespace resnet_zoo {

namespace {

struct ReadItem {
  std::vector<uint8_t> input;
  std::string problem;  // empty: the item was read
};

class Runner {
 public:
  Runner(InferenceBackend* backend, BatchJob* job, int num_readers)
      : backend_(backend), job_(job), num_readers_(num_readers),
        queue_(job->NumItems(), QueueCapacity(*backend, *job, static_cast<size_t>(num_readers))) {}

  RunReport Run() {
    WarmUp(backend_);
    const auto start = std::chrono::steady_clock::now();
    WorkerGroup workers([this] { queue_.Stop(); });
    for (int i = 0; i < num_readers_; ++i) workers.Start([this] { ReadAll(); });
    for (int slot = 0; slot < backend_->NumSlots(); ++slot) workers.Start([this, slot] { InferAll(slot); });
    const bool to_the_end = workers.Wait();
    report_.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    report_.latency = latency_.Summary();
    const size_t done = report_.stored + report_.unusable.size();
    // An interrupt that comes after the last item changes nothing.
    report_.complete = to_the_end || done == job_->NumItems();
    if (report_.complete && done != job_->NumItems()) {
      throw AppError(std::to_string(job_->NumItems()) + " inputs were found, but " + std::to_string(report_.stored) +
                         " done and " + std::to_string(report_.unusable.size()) + " refused; this is a defect",
                     kExitFailure);
    }
    return std::move(report_);
  }

 private:
  // A full batch being taken and the next one being read; fewer items where one holds many samples.
  static size_t QueueCapacity(const InferenceBackend& backend, const BatchJob& job, size_t num_readers) {
    size_t largest = 1;
    for (size_t item = 0; item < job.NumItems(); ++item) largest = std::max(largest, job.NumSamples(item));
    return std::max(num_readers + 1, 2 * (static_cast<size_t>(backend.Spec().batch) + num_readers) / largest);
  }

  void ReadAll() {
    size_t number = 0;
    while (queue_.Claim(&number)) {
      ReadItem* item = queue_.At(number);
      item->input.resize(backend_->Spec().SampleBytes() * job_->NumSamples(number));
      item->problem = job_->Read(number, item->input.data());
      queue_.Publish(number);
    }
  }

  void InferAll(int slot) {
    const ModelSpec& spec = backend_->Spec();
    const auto batch = static_cast<size_t>(spec.batch), classes = static_cast<size_t>(spec.num_classes);
    std::vector<uint8_t> input(spec.SampleBytes() * batch);
    std::vector<float> logits(batch * classes);
    std::vector<size_t> items;
    for (;;) {
      const size_t samples = FillBatch(&input, &items);
      if (items.empty()) return;
      const float milliseconds = backend_->Run(slot, input.data(), static_cast<int>(samples), logits.data());
      const float* rows = logits.data();
      for (const size_t item : items) {
        job_->Store(item, rows);
        rows += job_->NumSamples(item) * classes;
      }
      latency_.Add(milliseconds);
      const std::lock_guard<std::mutex> lock(report_mutex_);
      report_.stored += items.size();
      report_.samples += samples;
    }
  }

  // Takes the next usable items, in order, as long as they fit. Returns their samples.
  size_t FillBatch(std::vector<uint8_t>* input, std::vector<size_t>* items) {
    size_t samples = 0;
    items->clear();
    queue_.Take([&](size_t number, ReadItem* item) {
      if (item->problem.empty()) {
        std::memcpy(input->data() + samples * backend_->Spec().SampleBytes(), item->input.data(), item->input.size());
        samples += job_->NumSamples(number);
        items->push_back(number);
      } else {
        const std::lock_guard<std::mutex> lock(report_mutex_);
        report_.unusable.push_back({number, item->problem});
      }
      const size_t next = number + 1;
      return next < job_->NumItems() && samples + job_->NumSamples(next) <= static_cast<size_t>(backend_->Spec().batch);
    });
    return samples;
  }

  InferenceBackend* backend_;
  BatchJob* job_;
  const int num_readers_;
  OrderedQueue<ReadItem> queue_;
  LatencyRecorder latency_;
  std::mutex report_mutex_;
  RunReport report_;
};

}  // namespace

RunReport RunBatches(InferenceBackend* backend, BatchJob* job, int num_readers) {
  return Runner(backend, job, num_readers).Run();
}

}  // namespace resnet_zoo
