// What an operator of MindSpore's CPU backend (mindspore.ops.Custom, func_type "aot") is called with, and where it runs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>

#include "onednn.h"
#include "thread_pool.h"

// A call of an operator: its inputs, a configuration before the others, then its outputs. Activations are (N, C/b, H, W, b),
// float32 or bfloat16, with b = BLOCK, or b = C: channels last. Inputs in brackets below are left out where they are not
// wanted.
struct Call {
  const char* name;
  int count;
  void** data;
  const int* ndims;
  int64_t** shapes;
  const char** dtypes;

  bool IsBfloat16(int i) const;
  bool IsActivations(int i) const;
  onednn::Type Type(int i) const { return IsBfloat16(i) ? onednn::kBfloat16 : onednn::kFloat32; }
  template <typename T>
  T* Data(int i) const {
    return static_cast<T*>(data[i]);
  }
};

// `count` pixels of a block of BLOCK channels of an image, from `pixel` on.
struct Tile {
  int64_t image, block, pixel, count;
};

// Activations seen as images of channel blocks of pixels; `step` numbers lie between a pixel's and the next one's.
struct Extent {
  int64_t images, blocks, pixels, step;

  Extent(const Call& call, int i);
  // Where the numbers of a channel block of a pixel are.
  int64_t At(int64_t image, int64_t block, int64_t pixel = 0) const {
    return step == BLOCK ? ((image * blocks + block) * pixels + pixel) * BLOCK
                         : (image * pixels + pixel) * step + block * BLOCK;
  }
  int64_t At(const Tile& tile) const { return At(tile.image, tile.block, tile.pixel); }

  // The tiles of an image are those of its panels. A block's come in the order of their pixels; with channels last they are
  // so small that a panel is gone through in the order of memory.
  int64_t Panels() const { return step == BLOCK ? blocks : (blocks + kPanel - 1) / kPanel; }
  template <typename Run>
  void ForTiles(int64_t image, int64_t panel, const Run& run) const {
    const int64_t width = step == BLOCK ? 1 : kPanel, height = step == BLOCK ? pixels : kTile;
    for (int64_t pixel = 0; pixel < pixels; pixel += height)
      for (int64_t block = panel * width; block < std::min(blocks, (panel + 1) * width); ++block)
        run(Tile{image, block, pixel, std::min(height, pixels - pixel)});
  }

 private:
  static constexpr int64_t kPanel = 16, kTile = 4;
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

// Calls run(tile) for every tile, on all threads; for those of a panel on one.
template <typename Run>
void ParallelTiles(const Extent& e, const Run& run) {
  Parallel(e.images * e.Panels(), [&](int64_t i) { e.ForTiles(i / e.Panels(), i % e.Panels(), run); });
}

// Runs an operator's body alone; 0, or 1 after a line on stderr.
int Guarded(const Call& call, void (*body)(const Call&));

// Defines the operator NAME with the body that follows; `c` is its call.
#define OPERATOR(NAME)                                                                                           \
  static void Body_##NAME(const Call& c);                                                                        \
  extern "C" int NAME(int count, void** data, int* ndims, int64_t** shapes, const char** dtypes, void*, void*) { \
    return Guarded(Call{#NAME, count, data, ndims, shapes, dtypes}, Body_##NAME);                                \
  }                                                                                                              \
  static void Body_##NAME(const Call& c)
