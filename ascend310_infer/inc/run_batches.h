// The way of every program: threads read items into a bounded queue, one thread per slot of the backend joins them to
// batches, runs the network and stores what it gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "backend.h"
#include "latency.h"

namespace resnet_zoo {

// What is run on: items of one or more samples. Several threads call the functions, each for another item.
class BatchJob {
 public:
  virtual ~BatchJob() = default;
  virtual size_t NumItems() const = 0;
  // Samples of an item, 1 to the batch of the backend.
  virtual size_t NumSamples(size_t item) const = 0;
  // Fills `input`, NumSamples(item) samples as the model takes them. Returns why the item cannot be used; empty: it can.
  // An AppError ends the run.
  virtual std::string Read(size_t item, uint8_t* input) = 0;
  // logits: NumSamples(item) rows. An AppError ends the run.
  virtual void Store(size_t item, const float* logits) = 0;
};

struct UnusableItem {
  size_t item;
  std::string reason;
};

struct RunReport {
  size_t stored = 0;                   // items
  size_t samples = 0;                  // of the stored items
  std::vector<UnusableItem> unusable;  // in rising order
  LatencySummary latency;              // of a call of the network, warm-up excluded
  double seconds = 0;                  // from the first item to the last result
  bool complete = true;                // false after Ctrl-C

  double SamplesPerSecond() const { return static_cast<double>(samples) / seconds; }
};

// Which items share a batch does not depend on timing. Memory is bounded by a few batches, whatever the number of items.
// Throws the first error of the backend or the job, after all threads have ended.
RunReport RunBatches(InferenceBackend* backend, BatchJob* job, int num_readers);

}  // namespace resnet_zoo
