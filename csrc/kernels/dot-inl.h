// 1-D times 1-D: 16 interleaved chains, lane = position mod 16, then the tree l+8, l+4, l+2, l+1.
//
// Counts: one FMA for each position. In cache the chains are the limit: 16 floats are one AVX-512
// vector, so one vector for each latency of FMA (4 cycles).
#pragma once

#include "core/gemm_args.h"
#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr int kChains = 16;

template <class T>
struct Chains {
  using V = Simd<T>;
  static constexpr int W = V::width, count = kChains / W;
  typename V::vec lanes[count];

  DG_INLINE void clear() {
    for (int v = 0; v < count; ++v) lanes[v] = V::zero();
  }
  DG_INLINE void add(const T* a, const T* b) {
    for (int v = 0; v < count; ++v) lanes[v] = V::fma(V::load(a + v * W), V::load(b + v * W), lanes[v]);
  }
  DG_INLINE void subtract(const T* a, const T* b) {
    for (int v = 0; v < count; ++v) lanes[v] = V::fnma(V::load(a + v * W), V::load(b + v * W), lanes[v]);
  }
  DG_INLINE T tree() const {
    T sum[kChains];
    for (int v = 0; v < count; ++v) V::store(sum + v * W, lanes[v]);
    for (int half = kChains / 2; half > 0; half /= 2) {
      for (int l = 0; l < half; ++l) sum[l] += sum[l + half];
    }
    return sum[0];
  }
};

// The last positions are filled up with zeros: fma(0, 0, chain) leaves a chain as it is.
template <class T>
DG_INLINE void copy_strided(const T* source, int64_t stride, int n, T* to) {
  for (int l = 0; l < n; ++l) to[l] = source[l * stride];
  for (int l = n; l < kChains; ++l) to[l] = T(0);
}

template <class T>
void dot_real(const void* raw, int64_t begin, int64_t end, int, void*) {
  const DotArgs& args = *static_cast<const DotArgs*>(raw);
  const T* a = static_cast<const T*>(args.a) + begin * args.a_stride;
  const T* b = static_cast<const T*>(args.b) + begin * args.b_stride;
  int64_t left = end - begin;
  Chains<T> chains;
  chains.clear();
  if (args.a_stride == 1 && args.b_stride == 1) {
    for (; left >= kChains; left -= kChains, a += kChains, b += kChains) chains.add(a, b);
  }
  T a_copy[kChains], b_copy[kChains];
  while (left > 0) {
    const int n = left < kChains ? static_cast<int>(left) : kChains;
    copy_strided(a, args.a_stride, n, a_copy);
    copy_strided(b, args.b_stride, n, b_copy);
    chains.add(a_copy, b_copy);
    a += n * args.a_stride;
    b += n * args.b_stride;
    left -= n;
  }
  *static_cast<T*>(args.result) = chains.tree();
}

// a stands on the left: re = fma(ar, br, re); re = fma(-ai, bi, re); im = fma(ar, bi, im);
// im = fma(ai, br, im), each in its lane.
template <class T>
void dot_complex(const void* raw, int64_t begin, int64_t end, int, void*) {
  const DotArgs& args = *static_cast<const DotArgs*>(raw);
  const T* a = static_cast<const T*>(args.a) + 2 * begin * args.a_stride;
  const T* b = static_cast<const T*>(args.b) + 2 * begin * args.b_stride;
  Chains<T> re, im;
  re.clear();
  im.clear();
  T a_re[kChains], a_im[kChains], b_re[kChains], b_im[kChains];
  for (int64_t left = end - begin; left > 0; left -= kChains) {
    const int n = left < kChains ? static_cast<int>(left) : kChains;
    copy_strided(a, 2 * args.a_stride, n, a_re);
    copy_strided(a + 1, 2 * args.a_stride, n, a_im);
    copy_strided(b, 2 * args.b_stride, n, b_re);
    copy_strided(b + 1, 2 * args.b_stride, n, b_im);
    re.add(a_re, b_re);
    re.subtract(a_im, b_im);
    im.add(a_re, b_im);
    im.add(a_im, b_re);
    a += 2 * n * args.a_stride;
    b += 2 * n * args.b_stride;
  }
  static_cast<T*>(args.result)[0] = re.tree();
  static_cast<T*>(args.result)[1] = im.tree();
}

}  // namespace
}  // namespace deepgemm::DG_ISA
