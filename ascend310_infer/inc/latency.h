// How long the calls of Run took.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <vector>

struct LatencySummary {
  size_t count = 0;
  double mean = 0, median = 0, p90 = 0, p99 = 0, lowest = 0, highest = 0;  // milliseconds
};

// p-th percentile, 0 to 100, of values in rising order, interpolated between neighbours as numpy.percentile does.
double Percentile(const std::vector<float>& sorted, double p);

class LatencyRecorder {
 public:
  using Clock = std::chrono::steady_clock;

  // Measures a call. Calls may run in several threads.
  template <typename Call>
  void Measure(Call call) {
    const auto start = Clock::now();
    call();
    Add(std::chrono::duration<float, std::milli>(Clock::now() - start).count());
  }
  void Add(float milliseconds);
  LatencySummary Summary() const;

 private:
  mutable std::mutex mutex_;
  std::vector<float> milliseconds_;
};
