// The numbers of one pixel of a channel block, in one register.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "operator.h"

using Bfloat16 = uint16_t;

#if BLOCK == 16
using Vector = __m512;
inline Vector MultiplyAdd(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
#else
using Vector = __m256;
inline Vector MultiplyAdd(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
#endif
// The rest is the same for both: arithmetic and comparisons of GCC's vectors, number by number.
typedef uint32_t Bits __attribute__((vector_size(4 * BLOCK)));
typedef Bfloat16 Halves __attribute__((vector_size(2 * BLOCK)));

template <typename V>
inline V LoadAs(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
inline Vector Load(const float* p) { return LoadAs<Vector>(p); }
inline Vector Load(const Bfloat16* p) { return (Vector)(__builtin_convertvector(LoadAs<Halves>(p), Bits) << 16); }
inline void Store(float* p, Vector v) { std::memcpy(p, &v, sizeof(v)); }
// To the nearest bfloat16, ties to even; NaN stays one. By AVX512_BF16, without which nobody asks for bfloat16.
inline void Store(Bfloat16* p, Vector v) {
  Halves halves;
  __asm__("vcvtneps2bf16 %1, %0" : "=v"(halves) : "v"(v));
  std::memcpy(p, &halves, sizeof(halves));
}
inline Vector Positive(Vector v) { return v < 0 ? Vector{} : v; }  // NaN stays one
inline Vector WherePositive(Vector condition, Vector v) { return condition > 0 ? v : Vector{}; }

// K sums of every image and channel, in float32.
template <int K>
class ImageSums {
 public:
  explicit ImageSums(const Extent& e) : e_(e), sums_(e.images * e.blocks * K * BLOCK) {}

  // Adds what term(pixel, sums) adds to sums[k], over the pixels of a tile counted from its first; in four parts.
  template <typename Term>
  void Add(const Tile& tile, const Term& term) {
    Vector parts[4][K] = {};
    int64_t pixel = 0;
    for (; pixel + 4 <= tile.count; pixel += 4)
      for (int part = 0; part < 4; ++part) term(pixel + part, parts[part]);
    for (; pixel < tile.count; ++pixel) term(pixel, parts[0]);
    float* sums = &sums_[At(tile.image, tile.block * BLOCK, 0)];
    for (int k = 0; k < K; ++k, sums += BLOCK)
      Store(sums, Load(sums) + ((parts[0][k] + parts[1][k]) + (parts[2][k] + parts[3][k])));
  }
  double Of(int64_t image, int64_t channel, int k = 0) const { return sums_[At(image, channel, k)]; }
  // Of all images, in their order, in float64.
  double Total(int64_t channel, int k = 0) const {
    double total = 0;
    for (int64_t image = 0; image < e_.images; ++image) total += Of(image, channel, k);
    return total;
  }

 private:
  int64_t At(int64_t image, int64_t channel, int k) const {
    return (((channel / BLOCK) * e_.images + image) * K + k) * BLOCK + channel % BLOCK;
  }

  const Extent e_;
  std::vector<float> sums_;
};

// Calls FUNCTION<type of tensor i>(...).
#define FOR_TYPE_OF(i, FUNCTION, ...) (c.IsBfloat16(i) ? FUNCTION<Bfloat16>(__VA_ARGS__) : FUNCTION<float>(__VA_ARGS__))
