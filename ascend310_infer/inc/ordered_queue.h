// A bounded queue whose items leave in the order of their numbers, whichever producer is done first.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

namespace resnet_zoo {

// Producers: while (queue.Claim(&number)) { fill *queue.At(number); queue.Publish(number); }
// Consumers: queue.Take(...). Items keep their memory when their place is used again.
template <typename Item>
class OrderedQueue {
 public:
  OrderedQueue(size_t total, size_t capacity) : total_(total), slots_(capacity) {}

  // The next number to produce; waits for space. False when all are claimed or the queue was stopped.
  bool Claim(size_t* number) {
    std::unique_lock<std::mutex> lock(mutex_);
    space_.wait(lock, [&] { return stopped_ || claimed_ == total_ || claimed_ < taken_ + slots_.size(); });
    if (stopped_ || claimed_ == total_) return false;
    *number = claimed_++;
    return true;
  }

  Item* At(size_t number) { return &slots_[number % slots_.size()].item; }

  void Publish(size_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    slots_[number % slots_.size()].ready = true;
    items_.notify_all();
  }

  // Takes items in order until `use(number, item)` returns false or the items end; one consumer at a time.
  template <typename Use>
  void Take(Use use) {
    const std::lock_guard<std::mutex> turn(consumer_);
    for (bool more = true; more;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        items_.wait(lock, [&] { return stopped_ || taken_ == total_ || slots_[taken_ % slots_.size()].ready; });
        if (stopped_ || taken_ == total_) return;
      }
      more = use(taken_, At(taken_));
      const std::lock_guard<std::mutex> lock(mutex_);
      slots_[taken_ % slots_.size()].ready = false;
      ++taken_;
      space_.notify_one();
    }
  }

  // Lets everybody go: nothing is claimed or taken any more.
  void Stop() {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    space_.notify_all();
    items_.notify_all();
  }

 private:
  struct Place {
    Item item;
    bool ready = false;
  };
  const size_t total_;
  std::vector<Place> slots_;
  std::mutex mutex_, consumer_;
  std::condition_variable space_, items_;
  size_t claimed_ = 0, taken_ = 0;
  bool stopped_ = false;
};

}  // namespace resnet_zoo
