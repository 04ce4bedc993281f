// What works pixel by pixel: means, scaled channels, sums.

#include "vector.h"

namespace {
template <typename T>
void MeanForward(const Call& c) {
  const Extent e(c, 0);
  const auto* x = c.Data<T>(0);
  auto* y = c.Data<float>(1);
  const int64_t channels = e.blocks * BLOCK;
  ImageSums<1> sums(e);
  ParallelTiles(e, [&](const Tile& t) {
    sums.Add(t, [&, x = x + e.At(t)](int64_t pixel, Vector* s) { s[0] += Load(x + pixel * e.step); });
  });
  for (int64_t i = 0; i < e.images * channels; ++i) y[i] = sums.Of(i / channels, i % channels) / e.pixels;
}

template <typename T>
void MeanBackward(const Call& c) {
  const Extent e(c, 1);
  const auto* dy = c.Data<float>(0);
  auto* dx = c.Data<T>(2);
  ParallelTiles(e, [&](const Tile& t) {
    Vector share = Load(dy + (t.image * e.blocks + t.block) * BLOCK) / static_cast<float>(e.pixels);
    for (int64_t i = e.At(t), end = i + t.count * e.step; i < end; i += e.step) Store(dx + i, share);
  });
}

// y: the sum of the `radix` runs of x's channel blocks, each times its scale; with `other`, ReLU of that plus `other`.
template <typename T>
void ScaleForward(const Call& c) {
  const bool has_other = c.count == 4;
  const int out = c.count - 1;
  const Extent in(c, 0), e(c, out);
  const auto *x = c.Data<T>(0), *other = has_other ? c.Data<T>(2) : nullptr;
  const auto* scale = c.Data<float>(1);
  auto* y = c.Data<T>(out);
  const int64_t radix = in.blocks / e.blocks;
  ParallelTiles(e, [&](const Tile& t) {
    for (int64_t pixel = 0; pixel < t.count; ++pixel) {
      const int64_t i = e.At(t) + pixel * e.step;
      Vector sum{};
      for (int64_t r = 0; r < radix; ++r) {
        int64_t run = t.block + r * e.blocks;
        Vector factor = Load(scale + (t.image * in.blocks + run) * BLOCK);
        sum = MultiplyAdd(Load(x + in.At(t.image, run, t.pixel + pixel)), factor, sum);
      }
      Store(y + i, other ? Positive(sum + Load(other + i)) : sum);
    }
  });
}

template <typename T>
void ScaleBackward(const Call& c) {
  const bool has_other = c.count == 7;
  const int out = has_other ? 4 : 3;
  const Extent in(c, 1), e(c, 0);
  const auto *dy = c.Data<T>(0), *x = c.Data<T>(1), *y = has_other ? c.Data<T>(3) : nullptr;
  const auto* scale = c.Data<float>(2);
  auto *dx = c.Data<T>(out), *dother = has_other ? c.Data<T>(out + 2) : nullptr;
  auto* dscale = c.Data<float>(out + 1);
  const int64_t channels = in.blocks * BLOCK;
  ImageSums<1> sums(in);
  ParallelTiles(in, [&](const Tile& t) {
    const int64_t first = in.At(t), first_of_y = e.At(t.image, t.block % e.blocks, t.pixel);
    Vector factor = Load(scale + t.image * channels + t.block * BLOCK);
    sums.Add(t, [=, step = in.step, step_of_y = e.step](int64_t pixel, Vector* s) {
      const int64_t i = first + pixel * step, j = first_of_y + pixel * step_of_y;
      Vector g = Load(dy + j);
      if (y) g = WherePositive(Load(y + j), g);
      if (dother) Store(dother + j, g);
      s[0] = MultiplyAdd(g, Load(x + i), s[0]);
      Store(dx + i, g * factor);
    });
  });
  for (int64_t i = 0; i < in.images * channels; ++i) dscale[i] = sums.Of(i / channels, i % channels);
}

template <typename T>
void Sum(const Call& c) {
  const Extent e(c, 0);
  const auto *a = c.Data<T>(0), *b = c.Data<T>(1);
  auto* y = c.Data<T>(2);
  Parallel(e.images * e.blocks, [&](int64_t plane) {
    for (int64_t i = plane * e.pixels * BLOCK; i < (plane + 1) * e.pixels * BLOCK; i += BLOCK)
      Store(y + i, Load(a + i) + Load(b + i));
  });
}
}  // namespace

// x -> mean over the pixels, float32 (N, C/b, 1, 1, b)
OPERATOR(mean_forward) { FOR_TYPE_OF(0, MeanForward, c); }

// dy, x (for its shape) -> dx
OPERATOR(mean_backward) { FOR_TYPE_OF(1, MeanBackward, c); }

// x (N, R * C/b, H, W, b), scale (N, R * C/b, 1, 1, b)[, other] -> (N, C/b, H, W, b)
OPERATOR(scale_forward) { FOR_TYPE_OF(0, ScaleForward, c); }

// dy, x, scale[, y] -> dx, dscale[, dother]
OPERATOR(scale_backward) { FOR_TYPE_OF(1, ScaleBackward, c); }

// a, b -> a + b
OPERATOR(sum) { FOR_TYPE_OF(0, Sum, c); }
