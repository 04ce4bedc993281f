#include "latency.h"
#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("percentiles") {
  LatencyRecorder recorder;
  CHECK(recorder.Summary().count == 0);
  CHECK(recorder.Summary().mean == 0);
  for (int i = 100; i >= 0; --i) recorder.Add(static_cast<float>(i));
  const LatencySummary summary = recorder.Summary();
  CHECK(summary.median == 50);
  CHECK(summary.p90 == 90);
  CHECK(summary.p99 == 99);
  CHECK(summary.mean == 50);
  CHECK(summary.lowest == 0);
  CHECK(Percentile({1, 2}, 50) == 1.5);
}

}  // namespace resnet_zoo
