// What an operator of MindSpore's CPU backend (mindspore.ops.Custom, func_type "aot") is called with, and where it runs.
#pragma once

#include <cstdint>
#include <functional>

#include "onednn.h"
#include "thread_pool.h"

// A call of an operator: its inputs, a configuration before the others, then its outputs. Activations are (N, C/b, H, W, b)
// with b = BLOCK, float32 or bfloat16. Inputs in brackets below are left out where they are not wanted.
struct Call {
  const char* name;
  int count;
  void** data;
  const int* ndims;
  int64_t** shapes;
  const char** dtypes;

  bool IsBfloat16(int i) const;
  onednn::Type Type(int i) const { return IsBfloat16(i) ? onednn::kBfloat16 : onednn::kFloat32; }
  template <typename T>
  T* Data(int i) const {
    return static_cast<T*>(data[i]);
  }
};

// A blocked tensor seen as images of channel blocks of pixels.
struct Extent {
  int64_t images, blocks, pixels;

  Extent(const Call& call, int i);
  // The first number of a channel block of an image.
  int64_t At(int64_t image, int64_t block) const { return (image * blocks + block) * pixels * BLOCK; }
};

// What all operators of the process share; one operator runs at a time.
struct Runtime {
  static Runtime& Get();

  ThreadPool& pool;
  dnnl_engine* engine = nullptr;
  dnnl_stream* stream = nullptr;

  // Memory for the operator that runs, on a page's border; what was in it is lost when it grows.
  char* Scratch(size_t size);

 private:
  Runtime();
  char* scratch_ = nullptr;
  size_t scratch_size_ = 0;
};

// Calls run(task) for every task below `tasks`, on all threads.
void Parallel(int64_t tasks, const std::function<void(int64_t)>& run);

// Runs an operator's body alone; 0, or 1 after a line on stderr.
int Guarded(const Call& call, void (*body)(const Call&));

// Defines the operator NAME with the body that follows; `c` is its call.
#define OPERATOR(NAME)                                                                                           \
  static void Body_##NAME(const Call& c);                                                                        \
  extern "C" int NAME(int count, void** data, int* ndims, int64_t** shapes, const char** dtypes, void*, void*) { \
    return Guarded(Call{#NAME, count, data, ndims, shapes, dtypes}, Body_##NAME);                                \
  }                                                                                                              \
  static void Body_##NAME(const Call& c)
