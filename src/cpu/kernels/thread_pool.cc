#include "thread_pool.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <thread>

#ifdef RANDOM_DELAYS  // for the stress test: threads meet at other moments than they like to
#include <chrono>
#include <random>
static void Delay() {
  thread_local std::minstd_rand random(std::random_device{}());
  if (random() % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
}
#else
static void Delay() {}
#endif

namespace {
constexpr int kSpins = 2000, kJobShift = 40, kSizeShift = 20, kMostIndices = 0xfffff;
constexpr uint64_t kJobs = 0xffffff;
thread_local bool in_parallel = false;

uint64_t JobOf(uint64_t ticket) { return ticket >> kJobShift; }
}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(std::max(threads, 1)) {
  for (int i = 1; i < threads_; ++i) std::thread([this] { Work(); }).detach();
}

bool ThreadPool::get_in_parallel() const { return in_parallel; }

void ThreadPool::parallel_for(int n, const std::function<void(int, int)>& run) {
  if (n <= 1 || n > kMostIndices || threads_ == 1 || in_parallel) {
    for (int i = 0; i < n; ++i) run(i, n);
    return;
  }
  run_ = &run;
  done_.store(0);
  uint64_t job = (JobOf(ticket_.load()) + 1) & kJobs;
  {
    std::lock_guard<std::mutex> hold(mutex_);  // a worker that has just found nothing to do sleeps before, or sees the job
    ticket_.store(job << kJobShift | static_cast<uint64_t>(n) << kSizeShift);
  }
  wake_.notify_all();
  Take(job);
  for (int spins = 0; done_.load(std::memory_order_acquire) < n; ++spins) {
    if (spins < kSpins) {
      _mm_pause();
    } else {
      sched_yield();  // more threads than cores: the worker needs this one
    }
  }
}

void ThreadPool::Take(uint64_t job) {
  in_parallel = true;
  for (;;) {
    Delay();
    uint64_t ticket = ticket_.load();
    int n = ticket >> kSizeShift & kMostIndices, i = ticket & kMostIndices;
    if (JobOf(ticket) != job || i >= n) break;
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1)) continue;
    Delay();
    (*run_)(i, n);
    Delay();
    done_.fetch_add(1, std::memory_order_release);
  }
  in_parallel = false;
}

void ThreadPool::Work() {
  uint64_t seen = 0;
  for (;;) {
    for (int left = kSpins; JobOf(ticket_.load()) == seen && left > 0; --left) _mm_pause();
    if (JobOf(ticket_.load()) == seen) {
      std::unique_lock<std::mutex> hold(mutex_);
      wake_.wait(hold, [&] { return JobOf(ticket_.load()) != seen; });
    }
    seen = JobOf(ticket_.load());
    Take(seen);
  }
}
