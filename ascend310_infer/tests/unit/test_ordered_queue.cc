#include <vector>

#include "ordered_queue.h"
#include "scratch.h"
#include "worker_group.h"

namespace resnet_zoo {

TEST_CASE("items leave in order, whoever is done first") {
  constexpr size_t kItems = 2000;
  OrderedQueue<size_t> queue(kItems, 7);
  std::vector<size_t> seen;
  WorkerGroup workers([&] { queue.Stop(); });
  for (int i = 0; i < 3; ++i) {
    workers.Start([&] {
      size_t number = 0;
      while (queue.Claim(&number)) {
        *queue.At(number) = number * 2;
        queue.Publish(number);
      }
    });
    workers.Start([&] {
      for (bool taken = true; taken;) {
        taken = false;
        queue.Take([&](size_t number, size_t* item) {
          taken = true;
          if (*item == number * 2) seen.push_back(number);
          return seen.size() % 5 != 0;
        });
      }
    });
  }
  CHECK(workers.Wait());
  bool ordered = seen.size() == kItems;
  for (size_t i = 0; ordered && i < kItems; ++i) ordered = seen[i] == i;
  CHECK(ordered);
}

}  // namespace resnet_zoo
