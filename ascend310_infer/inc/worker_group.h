// Threads that end together: the first error stops all of them, as Ctrl-C does.
#pragma once

#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace resnet_zoo {

class WorkerGroup {
 public:
  // stop: makes every worker return soon.
  explicit WorkerGroup(std::function<void()> stop) : stop_(std::move(stop)) {}
  ~WorkerGroup();
  WorkerGroup(const WorkerGroup&) = delete;
  WorkerGroup& operator=(const WorkerGroup&) = delete;

  void Start(std::function<void()> work);
  // Waits for all. Rethrows the first error. False when Ctrl-C (or SIGTERM) ended the work early.
  bool Wait();

 private:
  std::function<void()> stop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::exception_ptr error_;
  size_t running_ = 0;
  std::vector<std::thread> threads_;
};

// From now on SIGINT and SIGTERM only set a flag, which WorkerGroup::Wait looks at.
void CatchInterrupts();

}  // namespace resnet_zoo
