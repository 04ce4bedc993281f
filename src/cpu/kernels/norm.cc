// Batch norm, then the sum with another tensor if there is one, then ReLU if wanted.
//
// config, float32: epsilon, momentum (share of the old running statistics that stays), whether ReLU follows, whether the
// statistics are those of the batch (else the running ones, which then stay as they are).

#include <cmath>
#include <vector>

#include "operator.h"
#include "vector.h"

namespace {
struct Config {
  float epsilon, momentum, relu, of_batch;
};

using Sums = double[BLOCK];

// What one pass over a channel block does: `run` for some of its images, then `finish` once for the whole block.
struct Pass {
  std::function<void(int64_t block, int64_t from, int64_t to)> run;
  std::function<void(int64_t block)> finish;
};

// Where blocks suffice to keep the threads busy each goes through all passes by itself, so that it stays in the cache;
// otherwise its images are shared out, pass by pass. The numbers come out the same.
void RunPasses(const Extent& e, const std::vector<Pass>& passes) {
  int64_t wanted = 2 * Runtime::Get().pool.get_num_threads(), threads = Runtime::Get().pool.get_num_threads();
  if (e.blocks >= wanted || e.blocks % threads == 0 || e.images == 1) {
    Parallel(e.blocks, [&](int64_t block) {
      for (const Pass& pass : passes) {
        if (pass.run) pass.run(block, 0, e.images);
        if (pass.finish) pass.finish(block);
      }
    });
    return;
  }
  int64_t shares = std::min((wanted + e.blocks - 1) / e.blocks, e.images);
  for (const Pass& pass : passes) {
    if (pass.run)
      Parallel(e.blocks * shares, [&](int64_t task) {
        int64_t share = task % shares;
        pass.run(task / shares, e.images * share / shares, e.images * (share + 1) / shares);
      });
    if (pass.finish)
      for (int64_t block = 0; block < e.blocks; ++block) pass.finish(block);
  }
}

// Sums of every image and channel block, K of each, added up in the order of the images.
template <int K>
class ImageSums {
 public:
  explicit ImageSums(const Extent& e) : e_(e), sums_(e.images * e.blocks * K * BLOCK) {}
  Sums* Of(int64_t image, int64_t block) { return reinterpret_cast<Sums*>(&sums_[(block * e_.images + image) * K * BLOCK]); }
  double Total(int64_t block, int k, int j) {
    double total = 0;
    for (int64_t image = 0; image < e_.images; ++image) total += Of(image, block)[k][j];
    return total;
  }

 private:
  const Extent e_;
  std::vector<double> sums_;
};

// y = x * scale + shift, per channel: the form in which forward and backward find the same sign.
struct Affine {
  std::vector<float> scale, shift;

  explicit Affine(const Extent& e) : scale(e.blocks * BLOCK), shift(e.blocks * BLOCK) {}
  void Set(int64_t channel, float gamma, float beta, float mean, float inverse) {
    scale[channel] = gamma * inverse;
    shift[channel] = beta - mean * scale[channel];
  }
};

template <typename T>
void Apply(const Extent& e, int64_t block, int64_t from, int64_t to, const Affine& affine, const T* x, const T* other, T* y,
           bool relu) {
  Vector scale = Load(&affine.scale[block * BLOCK]), shift = Load(&affine.shift[block * BLOCK]);
  for (int64_t image = from; image < to; ++image) {
    int64_t first = e.At(image, block), end = first + e.pixels * BLOCK;
    if (other && relu)
      for (int64_t i = first; i < end; i += BLOCK)
        Store(y + i, Positive(MultiplyAdd(Load(x + i), scale, shift) + Load(other + i)));
    else if (other)
      for (int64_t i = first; i < end; i += BLOCK) Store(y + i, MultiplyAdd(Load(x + i), scale, shift) + Load(other + i));
    else if (relu)
      for (int64_t i = first; i < end; i += BLOCK) Store(y + i, Positive(MultiplyAdd(Load(x + i), scale, shift)));
    else
      for (int64_t i = first; i < end; i += BLOCK) Store(y + i, MultiplyAdd(Load(x + i), scale, shift));
  }
}

template <typename T>
void Forward(const Call& c, bool has_other) {
  const Extent e(c, 0);
  const auto *x = c.Data<T>(0), *other = has_other ? c.Data<T>(6) : nullptr;
  const auto *gamma = c.Data<float>(1), *beta = c.Data<float>(2), *old_mean = c.Data<float>(3),
             *old_variance = c.Data<float>(4);
  const Config config = *c.Data<Config>(5);
  int out = has_other ? 7 : 6;
  auto* y = c.Data<T>(out);
  auto *mean = c.Data<float>(out + 1), *inverse = c.Data<float>(out + 2);
  auto *new_mean = c.Data<float>(out + 3), *new_variance = c.Data<float>(out + 4);
  const double count = static_cast<double>(e.images) * e.pixels, moved = 1 - config.momentum;
  ImageSums<1> sums(e), squares(e);
  Affine affine(e);

  Pass add_up{[&](int64_t block, int64_t from, int64_t to) {
                for (int64_t n = from; n < to; ++n)
                  AddUp<1>(e.At(n, block), e.pixels, sums.Of(n, block), [&](int64_t i, Vector* s) { s[0] += Load(x + i); });
              },
              [&](int64_t block) {
                for (int j = 0; j < BLOCK; ++j) mean[block * BLOCK + j] = sums.Total(block, 0, j) / count;
              }};
  Pass add_up_squares{[&](int64_t block, int64_t from, int64_t to) {
                        Vector center = Load(mean + block * BLOCK);
                        for (int64_t n = from; n < to; ++n)
                          AddUp<1>(e.At(n, block), e.pixels, squares.Of(n, block), [&](int64_t i, Vector* s) {
                            Vector d = Load(x + i) - center;
                            s[0] = MultiplyAdd(d, d, s[0]);
                          });
                      },
                      [&](int64_t block) {
                        for (int64_t channel = block * BLOCK; channel < (block + 1) * BLOCK; ++channel) {
                          double square = squares.Total(block, 0, channel % BLOCK), variance = square / count;
                          double unbiased = count > 1 ? square / (count - 1) : variance;
                          inverse[channel] = 1 / std::sqrt(variance + config.epsilon);
                          new_mean[channel] = old_mean[channel] + moved * (mean[channel] - old_mean[channel]);
                          new_variance[channel] = old_variance[channel] + moved * (unbiased - old_variance[channel]);
                          affine.Set(channel, gamma[channel], beta[channel], mean[channel], inverse[channel]);
                        }
                      }};
  Pass take_running{nullptr, [&](int64_t block) {
                      for (int64_t channel = block * BLOCK; channel < (block + 1) * BLOCK; ++channel) {
                        mean[channel] = new_mean[channel] = old_mean[channel];
                        new_variance[channel] = old_variance[channel];
                        inverse[channel] = 1 / std::sqrt(static_cast<double>(old_variance[channel]) + config.epsilon);
                        affine.Set(channel, gamma[channel], beta[channel], mean[channel], inverse[channel]);
                      }
                    }};
  Pass apply{
      [&](int64_t block, int64_t from, int64_t to) { Apply(e, block, from, to, affine, x, other, y, config.relu != 0); },
      nullptr};
  if (config.of_batch != 0) {
    RunPasses(e, {add_up, add_up_squares, apply});
  } else {
    RunPasses(e, {take_running, apply});
  }
}

template <typename T>
void Backward(const Call& c, bool has_other) {
  const Extent e(c, 1);
  const auto *dy = c.Data<T>(0), *x = c.Data<T>(1), *y = has_other ? c.Data<T>(7) : nullptr;
  const auto *gamma = c.Data<float>(2), *beta = c.Data<float>(3), *mean = c.Data<float>(4), *inverse = c.Data<float>(5);
  const Config config = *c.Data<Config>(6);
  int out = has_other ? 8 : 7;
  auto *dx = c.Data<T>(out), *dother = has_other ? c.Data<T>(out + 3) : nullptr;
  auto *dgamma = c.Data<float>(out + 1), *dbeta = c.Data<float>(out + 2);
  const float count = static_cast<float>(e.images * e.pixels);
  ImageSums<2> sums(e);
  Affine affine(e);
  std::vector<float> offset(e.blocks * BLOCK), slope(e.blocks * BLOCK);
  for (int64_t k = 0; k < e.blocks * BLOCK; ++k) affine.Set(k, gamma[k], beta[k], mean[k], inverse[k]);

  // gradient(i, x there): what arrives at batch norm's own output. With `other` it is `other`'s gradient too.
  auto run = [&](auto gradient) {
    Pass add_up{[&](int64_t block, int64_t from, int64_t to) {
                  Vector center = Load(mean + block * BLOCK), a = Load(&affine.scale[block * BLOCK]);
                  Vector b = Load(&affine.shift[block * BLOCK]);
                  for (int64_t n = from; n < to; ++n)
                    AddUp<2>(e.At(n, block), e.pixels, sums.Of(n, block), [&](int64_t i, Vector* s) {
                      Vector v = Load(x + i), g = gradient(i, MultiplyAdd(v, a, b));
                      if (dother) Store(dother + i, g);
                      s[0] += g;
                      s[1] = MultiplyAdd(g, v - center, s[1]);
                    });
                },
                [&](int64_t block) {
                  for (int64_t channel = block * BLOCK; channel < (block + 1) * BLOCK; ++channel) {
                    double sum = sums.Total(block, 0, channel % BLOCK), product = sums.Total(block, 1, channel % BLOCK);
                    double w = inverse[channel];
                    dbeta[channel] = sum;
                    dgamma[channel] = product * w;
                    offset[channel] = config.of_batch != 0 ? sum / count : 0;
                    slope[channel] = config.of_batch != 0 ? product * w * w / count : 0;
                  }
                }};
    Pass apply{[&](int64_t block, int64_t from, int64_t to) {
                 Vector center = Load(mean + block * BLOCK), a = Load(&affine.scale[block * BLOCK]);
                 Vector b = Load(&affine.shift[block * BLOCK]);
                 Vector o = Load(&offset[block * BLOCK]), k = Load(&slope[block * BLOCK]);
                 for (int64_t n = from; n < to; ++n)
                   for (int64_t i = e.At(n, block), end = i + e.pixels * BLOCK; i < end; i += BLOCK) {
                     Vector v = Load(x + i), g = dother ? Load(dother + i) : gradient(i, MultiplyAdd(v, a, b));
                     Store(dx + i, a * (g - MultiplyAdd(v - center, k, o)));
                   }
               },
               nullptr};
    RunPasses(e, {add_up, apply});
  };
  // With `other` the sign of y says where ReLU cut; without, it is found again from x, which saves reading y.
  if (config.relu == 0)
    run([&](int64_t i, Vector) { return Load(dy + i); });
  else if (has_other)
    run([&](int64_t i, Vector) { return WherePositive(Load(y + i), Load(dy + i)); });
  else
    run([&](int64_t i, Vector normalized) { return WherePositive(normalized, Load(dy + i)); });
}
}  // namespace

// x, gamma, beta, running mean, running variance, config -> y, mean, 1 / deviation, new running mean, new running variance
OPERATOR(norm_forward) { FOR_TYPE_OF(0, Forward, c, false); }

// x, gamma, beta, running mean, running variance, config, other -> the same
OPERATOR(norm_forward_add) { FOR_TYPE_OF(0, Forward, c, true); }

// dy, x, gamma, beta, mean, 1 / deviation, config -> dx, dgamma, dbeta
OPERATOR(norm_backward) { FOR_TYPE_OF(1, Backward, c, false); }

// dy, x, gamma, beta, mean, 1 / deviation, config, y -> dx, dgamma, dbeta, dother
OPERATOR(norm_backward_add) { FOR_TYPE_OF(1, Backward, c, true); }
