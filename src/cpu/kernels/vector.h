// The numbers of one pixel of a channel block, in one register.
#pragma once

#include <immintrin.h>

#include <cstdint>

using Bfloat16 = uint16_t;

#if BLOCK == 16
using Vector = __m512;
inline Vector Load(const float* p) { return _mm512_loadu_ps(p); }
inline Vector Load(const Bfloat16* p) {
  __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
inline void Store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
// To the nearest bfloat16, ties to even; NaN stays one.
inline void Store(Bfloat16* p, Vector v) {
  __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  rounded = _mm512_mask_or_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16)));
}
inline Vector MultiplyAdd(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }
inline Vector Positive(Vector v) { return _mm512_max_ps(_mm512_setzero_ps(), v); }  // NaN stays one
inline Vector WherePositive(Vector condition, Vector v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(condition, _mm512_setzero_ps(), _CMP_GT_OQ), v);
}
inline Vector Same(float value) { return _mm512_set1_ps(value); }
#else
using Vector = __m256;
inline Vector Load(const float* p) { return _mm256_loadu_ps(p); }
inline Vector Load(const Bfloat16* p) {
  __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
inline void Store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
inline void Store(Bfloat16*, Vector) { __builtin_trap(); }  // bfloat16 comes with AVX-512: Python refuses it here
inline Vector MultiplyAdd(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }
inline Vector Positive(Vector v) { return _mm256_max_ps(_mm256_setzero_ps(), v); }
inline Vector WherePositive(Vector condition, Vector v) {
  return _mm256_and_ps(_mm256_cmp_ps(condition, _mm256_setzero_ps(), _CMP_GT_OQ), v);
}
inline Vector Same(float value) { return _mm256_set1_ps(value); }
#endif

// sums[k][j] += what term(i, parts) adds to parts[k][j], over the numbers i of `pixels` pixels from `first` on. The sums of
// one call are taken in float32, in four parts; calls are added up in float64.
template <int K, typename Term>
inline void AddUp(int64_t first, int64_t pixels, double (*sums)[BLOCK], const Term& term) {
  Vector parts[4][K] = {};
  int64_t pixel = 0;
  for (; pixel + 4 <= pixels; pixel += 4)
    for (int part = 0; part < 4; ++part) term(first + (pixel + part) * BLOCK, parts[part]);
  for (; pixel < pixels; ++pixel) term(first + pixel * BLOCK, parts[0]);
  for (int k = 0; k < K; ++k) {
    Vector total = (parts[0][k] + parts[1][k]) + (parts[2][k] + parts[3][k]);
    for (int j = 0; j < BLOCK; ++j) sums[k][j] += total[j];
  }
}

// Calls FUNCTION<type of tensor i>(...).
#define FOR_TYPE_OF(i, FUNCTION, ...) (c.IsBfloat16(i) ? FUNCTION<Bfloat16>(__VA_ARGS__) : FUNCTION<float>(__VA_ARGS__))
