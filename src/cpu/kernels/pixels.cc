// What works pixel by pixel: means, scaled channels, sums.

#include "operator.h"
#include "vector.h"

namespace {
template <typename T>
void MeanForward(const Call& c) {
  const Extent e(c, 0);
  const auto* x = c.Data<T>(0);
  auto* y = c.Data<float>(1);
  Parallel(e.images * e.blocks, [&](int64_t plane) {
    double sum[1][BLOCK] = {};
    AddUp<1>(plane * e.pixels * BLOCK, e.pixels, sum, [&](int64_t i, Vector* s) { s[0] += Load(x + i); });
    for (int j = 0; j < BLOCK; ++j) y[plane * BLOCK + j] = sum[0][j] / e.pixels;
  });
}

template <typename T>
void MeanBackward(const Call& c) {
  const Extent e(c, 1);
  const auto* dy = c.Data<float>(0);
  auto* dx = c.Data<T>(2);
  Parallel(e.images * e.blocks, [&](int64_t plane) {
    Vector share = Load(dy + plane * BLOCK) / static_cast<float>(e.pixels);
    for (int64_t i = plane * e.pixels * BLOCK; i < (plane + 1) * e.pixels * BLOCK; i += BLOCK) Store(dx + i, share);
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
  Parallel(e.images * e.blocks, [&](int64_t plane) {
    int64_t image = plane / e.blocks, block = plane % e.blocks, first = e.At(image, block);
    for (int64_t i = 0; i < e.pixels * BLOCK; i += BLOCK) {
      Vector sum{};
      for (int64_t r = 0; r < radix; ++r) {
        int64_t run = block + r * e.blocks;
        sum = MultiplyAdd(Load(x + in.At(image, run) + i), Load(scale + (image * in.blocks + run) * BLOCK), sum);
      }
      Store(y + first + i, other ? Positive(sum + Load(other + first + i)) : sum);
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
  Parallel(in.images * in.blocks, [&](int64_t plane) {
    int64_t image = plane / in.blocks, first = in.At(image, plane % in.blocks);
    int64_t shift = e.At(image, plane % in.blocks % e.blocks) - first;  // from a number of x to its number of y
    Vector factor = Load(scale + plane * BLOCK);
    double sum[1][BLOCK] = {};
    AddUp<1>(first, e.pixels, sum, [&](int64_t i, Vector* s) {
      Vector g = Load(dy + i + shift);
      if (y) g = WherePositive(Load(y + i), g);
      if (dother) Store(dother + i, g);
      s[0] = MultiplyAdd(g, Load(x + i), s[0]);
      Store(dx + i, g * factor);
    });
    for (int j = 0; j < BLOCK; ++j) dscale[plane * BLOCK + j] = sum[0][j];
  });
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
