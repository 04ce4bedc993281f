#include "worker_group.h"

#include <atomic>
#include <chrono>
#include <csignal>

namespace resnet_zoo {

namespace {

// Any thread may run the handler, another one reads.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may use nothing else");

}  // namespace

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = true; };
  // The second Ctrl-C ends the process at once; the first one makes no reading or writing fail.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

void WorkerGroup::Start(std::function<void()> work) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++running_;
  }
  threads_.emplace_back([this, work = std::move(work)] {
    std::exception_ptr error;
    try {
      work();
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (error && !error_) error_ = error;
    --running_;
    changed_.notify_all();
  });
}

bool WorkerGroup::Wait() {
  bool stopped = false, ended_early = false;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    while (running_ > 0) {
      // A signal handler must not notify, so its flag is looked at ten times a second.
      changed_.wait_for(lock, std::chrono::milliseconds(100));
      if (!stopped && (error_ || interrupted)) {
        ended_early = !error_ && running_ > 0;
        stopped = true;
        stop_();
      }
    }
  }
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  if (error_) std::rethrow_exception(error_);
  return !ended_early;
}

WorkerGroup::~WorkerGroup() {
  if (!threads_.empty()) stop_();
  for (auto& thread : threads_) thread.join();
}

}  // namespace resnet_zoo
