// Batch norm, then the sum with another tensor if there is one, then ReLU if wanted.
//
// config, float32: epsilon, momentum (share of the old running statistics that stays), whether ReLU follows, whether the
// statistics are those of the batch (else the running ones, which then stay as they are).

#include <cmath>
#include <vector>

#include "vector.h"

namespace {
struct Config {
  float epsilon, momentum, relu, of_batch;
};

// One pass over the activations: `panel` for every panel of an image, then `channel` for each channel.
struct Pass {
  std::function<void(int64_t image, int64_t panel)> panel;
  std::function<void(int64_t channel)> channel;

  void Finish(int64_t block) const {
    for (int64_t k = block * BLOCK; k < (block + 1) * BLOCK; ++k) channel(k);
  }
};

// Where blocks lie apart and suffice to keep the threads busy, each goes through all passes by itself, so that it stays in
// the cache; otherwise the panels are shared out, pass by pass. The numbers come out the same.
void RunPasses(const Extent& e, const std::vector<Pass>& passes) {
  const int64_t threads = Runtime::Get().pool.get_num_threads();
  if (e.step == BLOCK && (e.blocks >= 2 * threads || e.blocks % threads == 0 || e.images == 1)) {
    Parallel(e.blocks, [&](int64_t block) {
      for (const Pass& pass : passes) {
        for (int64_t image = 0; image < e.images; ++image) pass.panel(image, block);
        pass.Finish(block);
      }
    });
    return;
  }
  for (const Pass& pass : passes) {
    Parallel(e.images * e.Panels(), [&](int64_t i) { pass.panel(i / e.Panels(), i % e.Panels()); });
    Parallel(e.blocks, [&](int64_t block) { pass.Finish(block); });
  }
}

template <typename Run>
Pass OverTiles(
    const Extent& e, const Run& tile, std::function<void(int64_t)> channel = [](int64_t) {}) {
  return {[=](int64_t image, int64_t panel) { e.ForTiles(image, panel, tile); }, std::move(channel)};
}

// y = x * scale + shift, per channel: the form in which forward and backward find the same sign.
struct Affine {
  std::vector<float> scale, shift;

  explicit Affine(const Extent& e) : scale(e.blocks * BLOCK), shift(e.blocks * BLOCK) {}
  void Set(int64_t channel, float gamma, float beta, float mean, float inverse) {
    scale[channel] = gamma * inverse;
    shift[channel] = beta - mean * scale[channel];
  }
  // The function of one channel block.
  auto Of(int64_t block) const {
    return [a = Load(&scale[block * BLOCK]), b = Load(&shift[block * BLOCK])](Vector x) { return MultiplyAdd(x, a, b); };
  }
};

template <typename T>
void Forward(const Call& c) {
  const bool has_other = c.count == 12;
  const int out = c.count - 5;
  const Extent e(c, 1);
  const Config config = *c.Data<Config>(0);
  const auto *x = c.Data<T>(1), *other = has_other ? c.Data<T>(6) : nullptr;
  const auto *gamma = c.Data<float>(2), *beta = c.Data<float>(3);
  const auto *old_mean = c.Data<float>(4), *old_variance = c.Data<float>(5);
  auto* y = c.Data<T>(out);
  auto *mean = c.Data<float>(out + 1), *inverse = c.Data<float>(out + 2);
  auto *new_mean = c.Data<float>(out + 3), *new_variance = c.Data<float>(out + 4);
  const double count = static_cast<double>(e.images) * e.pixels, moved = 1 - config.momentum;
  // For bfloat16's few digits one pass is exact enough, about any of the numbers: here those of the first pixel.
  constexpr bool kInOne = sizeof(T) < sizeof(float);
  ImageSums<2> sums(e);
  ImageSums<1> squares(e);
  Affine affine(e);

  auto settle = [&](int64_t k, double variance) {
    inverse[k] = 1 / std::sqrt(variance + config.epsilon);
    affine.Set(k, gamma[k], beta[k], mean[k], inverse[k]);
  };
  auto settle_batch = [&](int64_t k, double square) {
    double unbiased = count > 1 ? square / (count - 1) : square / count;
    new_mean[k] = old_mean[k] + moved * (mean[k] - old_mean[k]);
    new_variance[k] = old_variance[k] + moved * (unbiased - old_variance[k]);
    settle(k, square / count);
  };
  Pass add_up = OverTiles(
      e,
      [&](const Tile& t) {
        const Vector center = kInOne ? Load(x + e.At(0, t.block)) : Vector{};
        sums.Add(t, [&, x = x + e.At(t)](int64_t pixel, Vector* s) {
          Vector d = Load(x + pixel * e.step) - center;
          s[0] += d;
          if (kInOne) s[1] = MultiplyAdd(d, d, s[1]);
        });
      },
      [&](int64_t k) {
        double shift = sums.Total(k, 0) / count;
        mean[k] = kInOne ? Load(x + e.At(0, k / BLOCK))[k % BLOCK] + shift : shift;
        if (kInOne) settle_batch(k, std::max(sums.Total(k, 1) - shift * shift * count, 0.0));
      });
  Pass add_up_squares = OverTiles(
      e,
      [&](const Tile& t) {
        const Vector center = Load(mean + t.block * BLOCK);
        squares.Add(t, [&, x = x + e.At(t)](int64_t pixel, Vector* s) {
          Vector d = Load(x + pixel * e.step) - center;
          s[0] = MultiplyAdd(d, d, s[0]);
        });
      },
      [&](int64_t k) { settle_batch(k, squares.Total(k)); });
  Pass apply = OverTiles(e, [&, has_relu = config.relu != 0](const Tile& t) {
    auto normalize = affine.Of(t.block);
    for (int64_t i = e.At(t), end = i + t.count * e.step; i < end; i += e.step) {
      Vector v = normalize(Load(x + i));
      if (has_other) v += Load(other + i);
      Store(y + i, has_relu ? Positive(v) : v);
    }
  });
  if (config.of_batch != 0) {
    RunPasses(e, kInOne ? std::vector{add_up, apply} : std::vector{add_up, add_up_squares, apply});
  } else {
    for (int64_t k = 0; k < e.blocks * BLOCK; ++k) {
      mean[k] = new_mean[k] = old_mean[k];
      new_variance[k] = old_variance[k];
      settle(k, old_variance[k]);
    }
    RunPasses(e, {apply});
  }
}

template <typename T>
void Backward(const Call& c) {
  const bool has_other = c.count == 12;
  const int out = has_other ? 8 : 7;
  const Extent e(c, 2);
  const Config config = *c.Data<Config>(0);
  const bool has_relu = config.relu != 0, of_batch = config.of_batch != 0;
  const auto *dy = c.Data<T>(1), *x = c.Data<T>(2), *y = has_other ? c.Data<T>(7) : nullptr;
  const auto *gamma = c.Data<float>(3), *beta = c.Data<float>(4), *mean = c.Data<float>(5), *inverse = c.Data<float>(6);
  auto *dx = c.Data<T>(out), *dother = has_other ? c.Data<T>(out + 3) : nullptr;
  auto *dgamma = c.Data<float>(out + 1), *dbeta = c.Data<float>(out + 2);
  const float count = static_cast<float>(e.images * e.pixels);
  ImageSums<2> sums(e);
  Affine affine(e);
  std::vector<float> offset(e.blocks * BLOCK), slope(e.blocks * BLOCK);
  for (int64_t k = 0; k < e.blocks * BLOCK; ++k) affine.Set(k, gamma[k], beta[k], mean[k], inverse[k]);

  // What arrives at batch norm's own output, from the number i on; with `other` it is `other`'s gradient too. The sign of y
  // says where ReLU cut; without `other` it is found again from x, which saves reading y.
  auto gradient = [=](int64_t i, Vector normalized) {
    Vector g = Load(dy + i);
    return has_relu ? WherePositive(has_other ? Load(y + i) : normalized, g) : g;
  };
  Pass add_up = OverTiles(
      e,
      [&](const Tile& t) {
        auto normalize = affine.Of(t.block);
        const Vector center = Load(mean + t.block * BLOCK);
        sums.Add(t, [=, first = e.At(t), step = e.step](int64_t pixel, Vector* s) {
          const int64_t i = first + pixel * step;
          Vector v = Load(x + i), g = gradient(i, normalize(v));
          if (has_other) Store(dother + i, g);
          s[0] += g;
          s[1] = MultiplyAdd(g, v - center, s[1]);
        });
      },
      [&](int64_t k) {
        double sum = sums.Total(k, 0), product = sums.Total(k, 1), w = inverse[k];
        dbeta[k] = sum;
        dgamma[k] = product * w;
        offset[k] = of_batch ? sum / count : 0;
        slope[k] = of_batch ? product * w * w / count : 0;
      });
  Pass apply = OverTiles(e, [&](const Tile& t) {
    const int64_t first = t.block * BLOCK;
    auto normalize = affine.Of(t.block);
    Vector a = Load(&affine.scale[first]), center = Load(mean + first);
    Vector o = Load(&offset[first]), k = Load(&slope[first]);
    for (int64_t i = e.At(t), end = i + t.count * e.step; i < end; i += e.step) {
      Vector v = Load(x + i), g = has_other ? Load(dother + i) : gradient(i, normalize(v));
      Store(dx + i, a * (g - MultiplyAdd(v - center, k, o)));
    }
  });
  RunPasses(e, {add_up, apply});
}
}  // namespace

// config, x, gamma, beta, running mean, running variance[, other] -> y, mean, 1 / deviation, the new running statistics
OPERATOR(norm_forward) { FOR_TYPE_OF(1, Forward, c); }

// config, dy, x, gamma, beta, mean, 1 / deviation[, y] -> dx, dgamma, dbeta[, dother]
OPERATOR(norm_backward) { FOR_TYPE_OF(2, Backward, c); }
