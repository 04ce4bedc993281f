// What changes parameters and what belongs to them, in place, and gradients: one pass over memory each.
//
// Every product, quotient, root and sum is rounded to float32, in the order in which MindSpore's own operators would. The
// sum over a gradient is not.

#include <algorithm>
#include <cmath>
#include <vector>

#include "operator.h"

namespace {
constexpr int64_t kShare = 1 << 14;

int64_t Size(const Call& c, int i) {
  int64_t size = 1;
  for (int axis = 0; axis < c.ndims[i]; ++axis) size *= c.shapes[i][axis];
  return size;
}

// Calls run(first, last, share) for shares of `size` numbers, on all threads.
template <typename Run>
void ForShares(int64_t size, Run run) {
  Parallel((size + kShare - 1) / kShare,
           [=](int64_t share) { run(share * kShare, std::min(size, (share + 1) * kShare), share); });
}
}  // namespace

// config (momentum, weight decay, whether it is Nesterov's, share of the rate), rate, weight, velocity, gradient ->
// nothing of use
//   g = gradient + decay * weight, where decay is not 0; v = momentum * velocity + g;
//   w = weight - rate * v, or Nesterov's w = weight - rate * (g + momentum * v).
OPERATOR(momentum) {
  const auto* config = c.Data<float>(0);
  const float kept = config[0], decay = config[1], rate = *c.Data<float>(1) * config[3];
  const bool is_nesterovs = config[2] != 0;
  ForShares(Size(c, 2), [=](int64_t first, int64_t last, int64_t) {
    float* __restrict weight = c.Data<float>(2), * __restrict velocity = c.Data<float>(3);
    const float* __restrict gradient = c.Data<float>(4);
    for (int64_t i = first; i < last; ++i) {
      float g = decay != 0 ? gradient[i] + decay * weight[i] : gradient[i];
      velocity[i] = kept * velocity[i] + g;
      weight[i] -= rate * (is_nesterovs ? g + kept * velocity[i] : velocity[i]);
    }
  });
}

// config (beta1, 1 - beta1, beta2, 1 - beta2, epsilon, weight decay, share of the rate), rate, what mean and square are
// divided by, weight, mean, square, gradient -> nothing of use: AdamW
OPERATOR(adamw) {
  const auto* config = c.Data<float>(0);
  const float mean_kept = config[0], mean_moved = config[1], square_kept = config[2], square_moved = config[3];
  const float epsilon = config[4], decay = config[5], rate = *c.Data<float>(1) * config[6];
  const float mean_share = *c.Data<float>(2), square_share = *c.Data<float>(3);
  ForShares(Size(c, 4), [=](int64_t first, int64_t last, int64_t) {
    float* __restrict weight = c.Data<float>(4), * __restrict mean = c.Data<float>(5);
    float* __restrict square = c.Data<float>(6);
    const float* __restrict gradient = c.Data<float>(7);
    for (int64_t i = first; i < last; ++i) {
      mean[i] = mean_kept * mean[i] + mean_moved * gradient[i];
      square[i] = square_kept * square[i] + square_moved * (gradient[i] * gradient[i]);
      float change = (mean[i] / mean_share) / (std::sqrt(square[i] / square_share) + epsilon);
      weight[i] -= rate * (change + decay * weight[i]);
    }
  });
}

// decay, average, value -> nothing of use: moves the average
OPERATOR(average) {
  const float kept = *c.Data<float>(0), moved = 1 - kept;
  ForShares(Size(c, 1), [=](int64_t first, int64_t last, int64_t) {
    float* __restrict average = c.Data<float>(1);
    const float* __restrict value = c.Data<float>(2);
    for (int64_t i = first; i < last; ++i) average[i] = kept * average[i] + moved * value[i];
  });
}

// config (batches per mean), the number of the batch from 0, mean, gradient -> nothing of use: the mean, begun with batch 0
OPERATOR(add_share) {
  const float batches = *c.Data<float>(0);
  const bool begins = *c.Data<int32_t>(1) == 0;
  ForShares(Size(c, 2), [=](int64_t first, int64_t last, int64_t) {
    float* __restrict mean = c.Data<float>(2);
    const float* __restrict gradient = c.Data<float>(3);
    for (int64_t i = first; i < last; ++i) mean[i] = (begins ? 0.0f : mean[i]) + gradient[i] / batches;
  });
}

// gradient -> the sum of its squares, float32 (1,), added up in float64, in the same order whatever the threads do
OPERATOR(square_sum) {
  const int64_t size = Size(c, 0);
  std::vector<double> sums((size + kShare - 1) / kShare);
  double* of_shares = sums.data();
  ForShares(size, [=](int64_t first, int64_t last, int64_t share) {
    constexpr int kLanes = 16;  // sums side by side, for one instruction
    const float* gradient = c.Data<float>(0);
    double lanes[kLanes] = {}, sum = 0;
    int64_t i = first;
    for (; i + kLanes <= last; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) {
        double value = gradient[i + lane];
        lanes[lane] += value * value;
      }
    }
    for (; i < last; ++i) sum += static_cast<double>(gradient[i]) * gradient[i];
    for (double lane : lanes) sum += lane;
    of_shares[share] = sum;
  });
  double sum = 0;
  for (double part : sums) sum += part;
  *c.Data<float>(1) = static_cast<float>(sum);
}

// config (largest norm), norm, gradient -> the gradient at that norm
OPERATOR(clip) {
  const float largest = *c.Data<float>(0), of_all = *c.Data<float>(1), norm = of_all >= largest ? of_all : largest;
  ForShares(Size(c, 2), [=](int64_t first, int64_t last, int64_t) {
    const float* __restrict gradient = c.Data<float>(2);
    float* __restrict clipped = c.Data<float>(3);
    for (int64_t i = first; i < last; ++i) clipped[i] = gradient[i] * largest / norm;
  });
}
