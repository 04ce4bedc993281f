#include "latency.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace resnet_zoo {

double Percentile(const std::vector<float>& sorted, double p) {
  if (sorted.empty()) return 0;
  const double place = p / 100 * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<size_t>(place);
  const size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (place - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

void LatencyRecorder::Add(float milliseconds) {
  const std::lock_guard<std::mutex> lock(mutex_);
  milliseconds_.push_back(milliseconds);
}

LatencySummary LatencyRecorder::Summary() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  LatencySummary summary;
  auto sorted = milliseconds_;
  std::sort(sorted.begin(), sorted.end());
  summary.count = sorted.size();
  if (sorted.empty()) return summary;
  summary.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size());
  summary.median = Percentile(sorted, 50);
  summary.p90 = Percentile(sorted, 90);
  summary.p99 = Percentile(sorted, 99);
  summary.lowest = sorted.front();
  summary.highest = sorted.back();
  return summary;
}

}  // namespace resnet_zoo
