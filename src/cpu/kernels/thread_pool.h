// The threads that the operators and oneDNN's primitives run on.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>

#include "onednn.h"

// Runs closures on the calling thread and on workers of its own. One caller at a time.
//
// Who computes an index is left to chance, so a late worker costs nothing; what an index computes is not, so results do not
// depend on it. A worker that finds nothing to do spins for a while, then sleeps.
class ThreadPool : public onednn::ThreadPoolInterface {
 public:
  // Workers are never joined: a pool lives as long as the process.
  explicit ThreadPool(int threads);

  int get_num_threads() const override { return threads_; }
  bool get_in_parallel() const override;
  uint64_t get_flags() const override { return 0; }
  // Calls run(i, n) for every i below n; returns when all calls have.
  void parallel_for(int n, const std::function<void(int, int)>& run) override;

 private:
  void Take(uint64_t job);
  void Work();

  const int threads_;
  const std::function<void(int, int)>* run_ = nullptr;
  // 24 bits that count the jobs, 20 bits of the job's size, 20 bits of the next index. A closure lives until all its indices
  // are done, so whoever has drawn one may call it.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> done_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};
