// How long the calls of a network took.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

namespace resnet_zoo {

struct LatencySummary {
  size_t count = 0;
  double mean = 0, median = 0, p90 = 0, p99 = 0, lowest = 0, highest = 0;  // milliseconds
};

// p-th percentile, 0 to 100, of values in rising order, interpolated between neighbors as numpy.percentile does.
double Percentile(const std::vector<float>& sorted, double p);

// How long a call takes, in milliseconds.
template <typename Call>
float Milliseconds(Call call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<float, std::milli>(std::chrono::steady_clock::now() - start).count();
}

// Several threads may add.
class LatencyRecorder {
 public:
  void Add(float milliseconds);
  LatencySummary Summary() const;

 private:
  mutable std::mutex mutex_;
  std::vector<float> milliseconds_;
};

}  // namespace resnet_zoo
