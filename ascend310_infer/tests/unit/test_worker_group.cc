#include "worker_group.h"

#include "ordered_queue.h"
#include "scratch.h"

namespace resnet_zoo {

TEST_CASE("the first error stops every worker") {
  OrderedQueue<int> endless(1000000, 1);  // nobody takes: the error must end the producer's wait
  WorkerGroup failing([&] { endless.Stop(); });
  failing.Start([&] {
    size_t number = 0;
    while (endless.Claim(&number)) endless.Publish(number);
  });
  failing.Start([] { throw AppError("the device failed"); });
  CHECK_REFUSED(failing.Wait(), "the device failed");
}

}  // namespace resnet_zoo
