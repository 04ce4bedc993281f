#include "operator.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <new>

namespace {
constexpr std::align_val_t kPage{4096};
int threads = 1;
std::mutex one_operator;  // MindSpore runs independent operators on several threads
}  // namespace

// To be called before the first operator runs.
extern "C" void blocked_set_threads(int number) { threads = number; }

bool Call::IsBfloat16(int i) const { return std::strcmp(dtypes[i], "bfloat16") == 0; }

bool Call::IsActivations(int i) const {
  const int64_t* shape = shapes[i];
  return ndims[i] == 5 && (shape[4] == BLOCK || (shape[1] == 1 && shape[4] % BLOCK == 0));
}

Extent::Extent(const Call& call, int i) : images(0), blocks(0), pixels(0), step(0) {
  if (!call.IsActivations(i)) throw std::invalid_argument("a tensor (N, C/b, H, W, b) is needed");
  const int64_t* shape = call.shapes[i];
  images = shape[0], blocks = shape[1] * shape[4] / BLOCK, pixels = shape[2] * shape[3], step = shape[4];
}

Runtime& Runtime::Get() {
  static Runtime& instance = *new Runtime;  // never destroyed: MindSpore's threads and ours outlive main()
  return instance;
}

Runtime::Runtime() : pool(*new ThreadPool(threads)) {
  onednn::Check(dnnl_engine_create(&engine, onednn::kCpu, 0), "making an engine");
  onednn::Check(dnnl_threadpool_interop_stream_create(&stream, engine, &pool), "making a stream");
}

char* Runtime::Scratch(size_t size) {
  if (size > scratch_size_) {
    ::operator delete(scratch_, kPage);
    scratch_ = nullptr, scratch_size_ = 0;  // in case there is no more
    scratch_ = static_cast<char*>(::operator new(size, kPage));
    scratch_size_ = size;
  }
  return scratch_;
}

void Parallel(int64_t tasks, const std::function<void(int64_t)>& run) {
  ThreadPool& pool = Runtime::Get().pool;
  // Several shares per thread, so that one that starts late leaves some to the others.
  int64_t shares = std::min<int64_t>(tasks, 4 * pool.get_num_threads());
  pool.parallel_for(static_cast<int>(shares), [&](int i, int n) {
    for (int64_t task = tasks * i / n; task < tasks * (i + 1) / n; ++task) run(task);
  });
}

int Guarded(const Call& call, void (*body)(const Call&)) {
  try {
    std::lock_guard<std::mutex> hold(one_operator);
    body(call);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", call.name, error.what());
    return 1;
  }
}
