// SGD with momentum and weight decay, in one pass over memory; weight and velocity are changed in place.

#include <algorithm>

#include "operator.h"

// config (float32: momentum, weight decay, whether it is Nesterov's, share of the rate), rate, weight, velocity, gradient ->
// nothing of use
//
// Every product and every sum is rounded to float32, in this order:
//   g = gradient + decay * weight, where decay is not 0; v = momentum * velocity + g;
//   w = weight - rate * v, or Nesterov's w = weight - rate * (g + momentum * v).
OPERATOR(momentum) {
  const auto* config = c.Data<float>(0);
  const float kept = config[0], decay = config[1], rate = *c.Data<float>(1) * config[3];
  const bool is_nesterovs = config[2] != 0;
  float* __restrict weight = c.Data<float>(2), * __restrict velocity = c.Data<float>(3);
  const float* __restrict gradient = c.Data<float>(4);
  int64_t size = 1;
  for (int axis = 0; axis < c.ndims[2]; ++axis) size *= c.shapes[2][axis];
  constexpr int64_t kShare = 1 << 14;
  Parallel((size + kShare - 1) / kShare, [=](int64_t share) {
    for (int64_t i = share * kShare; i < std::min(size, (share + 1) * kShare); ++i) {
      float g = decay != 0 ? gradient[i] + decay * weight[i] : gradient[i];
      velocity[i] = kept * velocity[i] + g;
      weight[i] -= rate * (is_nesterovs ? g + kept * velocity[i] : velocity[i]);
    }
  });
}
