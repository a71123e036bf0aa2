// Reductions and normalisations of segments whose rows are single elements, in the order of dot-inl.h: 16
// interleaved chains, lane = position mod 16, then the tree l+8, l+4, l+2, l+1.
//
// Counts, for each element: sum reads it and adds once. The 16 chains of float are one AVX-512 vector, so a
// segment of up to 16 elements is one masked load, and its tree would take longer than its chains: sums do
// the trees of a whole vector of segments at once, as in sddmm-inl.h.
#pragma once

#include "core/segment_args.h"
#include "kernels/elementary-inl.h"
#include "kernels/span-inl.h"
#include "simd/reduce.h"
#include "simd/transpose.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr int kLanes = 16;

DG_INLINE int at_most(int64_t n, int most) { return n < most ? static_cast<int>(n) : most; }

#if DG_ISA_AVX512
DG_INLINE __m512 load_those(const float* p, uint32_t lanes, __m512 fill) {
  return _mm512_mask_loadu_ps(fill, static_cast<__mmask16>(lanes), p);
}
DG_INLINE __m512d load_those(const double* p, uint32_t lanes, __m512d fill) {
  return _mm512_mask_loadu_pd(fill, static_cast<__mmask8>(lanes), p);
}
#endif

// How two elements become one, with what leaves the other as it is.
template <class T>
struct Sum {
  using vec = typename Simd<T>::vec;
  DG_INLINE static vec join(vec a, vec chain) { return sum(chain, a); }
  DG_INLINE static T nothing() { return T(0); }
  static constexpr bool is_sum = true;
};
template <class T>
struct Largest {
  using vec = typename Simd<T>::vec;
  DG_INLINE static vec join(vec a, vec chain) { return larger(a, chain); }
  DG_INLINE static T nothing() { return static_cast<T>(-INFINITY); }
  static constexpr bool is_sum = false;
};
// Where a nan spoils the sum of exponentials anyway, the largest element need not be one.
template <class T>
struct LargestNumber {
  using vec = typename Simd<T>::vec;
  DG_INLINE static vec join(vec a, vec chain) { return larger_number(a, chain); }
  DG_INLINE static T nothing() { return static_cast<T>(-INFINITY); }
  static constexpr bool is_sum = false;
};
template <class T>
struct Smallest {
  using vec = typename Simd<T>::vec;
  DG_INLINE static vec join(vec a, vec chain) { return smaller(a, chain); }
  DG_INLINE static T nothing() { return static_cast<T>(INFINITY); }
  static constexpr bool is_sum = false;
};

// The 16 chains over a segment of what `make` turns each vector into; make gets the vector's elements, the
// position of its first one and how many are of the segment. Lanes past the end must come out as nothing.
template <class T, class Op>
struct Lanes {
  using V = Simd<T>;
  static constexpr int W = V::width, count = kLanes / W;
  typename V::vec lane[count];

  template <class Make>
  DG_INLINE void run(int64_t length, Make make) {
    for (int v = 0; v < count; ++v) lane[v] = V::set1(Op::nothing());
    run_on(0, length, make);
  }
  template <class Make>
  DG_INLINE void run_on(int64_t at, int64_t length, Make make) {
    for (; at + kLanes <= length; at += kLanes) {
      for (int v = 0; v < count; ++v) lane[v] = Op::join(make(at + v * W, W), lane[v]);
    }
    for (int v = 0; at + v * W < length; ++v) {
      const int n = at_most(length - at - v * W, W);
      lane[v] = Op::join(make(at + v * W, n), lane[v]);
    }
  }
  // The same over elements in memory. With masks that cost nothing, two rounds are made whatever the length:
  // where segments are short, the branches that ask for it cost more than the loads.
  DG_INLINE void run(const T* x, int64_t length) {
    const typename V::vec nothing = V::set1(Op::nothing());
    const auto make = [&](int64_t at, int n) DG_INLINE_LAMBDA {
      if (n == W) return V::load(x + at);
      return Op::is_sum ? V::load_n(x + at, n) : load_or(x + at, n, nothing);
    };
#if DG_ISA_AVX512
    constexpr int kSure = 2 * kLanes;
    const uint32_t those = _bzhi_u32(~0u, static_cast<uint32_t>(at_most(length, kSure)));
    for (int v = 0; v < count; ++v) lane[v] = load_those(x + v * W, those >> v * W, nothing);
    for (int v = 0; v < count; ++v) {
      lane[v] = Op::join(load_those(x + kLanes + v * W, those >> (kLanes + v * W), nothing), lane[v]);
    }
    if (length > kSure) [[unlikely]] {
      run_on(kSure, length, make);
    }
#else
    run(length, make);
#endif
  }
  // The first levels of the tree: lanes l and l + half lie in two vectors.
  DG_INLINE typename V::vec halved() {
    for (int half = count / 2; half > 0; half /= 2) {
      for (int v = 0; v < half; ++v) lane[v] = Op::join(lane[v + half], lane[v]);
    }
    return lane[0];
  }
  // The whole tree; every lane holds the result.
  DG_INLINE typename V::vec everywhere() {
    typename V::vec all = halved();
    if constexpr (W >= 16) all = Op::join(mirrored<8>(all), all);
    if constexpr (W >= 8) all = Op::join(mirrored<4>(all), all);
    if constexpr (W >= 4) all = Op::join(mirrored<2>(all), all);
    if constexpr (W >= 2) all = Op::join(mirrored<1>(all), all);
    return all;
  }
};

template <class T>
void segment_sum(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<T>;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  const T* values = static_cast<const T*>(args.values);
  T* out = static_cast<T*>(args.out);
  for (int64_t first = begin; first < end; first += V::width) {
    const int n = at_most(end - first, V::width);
    typename V::vec halves[V::width];
    for (int s = 0; s < n; ++s) {
      const Span span = span_of(args, first + s);
      Lanes<T, Sum<T>> lanes;
      lanes.run(values + span.begin, span.length);
      halves[s] = lanes.halved();
    }
    for (int s = n; s < V::width; ++s) halves[s] = V::zero();
    V::store_n(out + first, tree_of_lanes(halves), n);
  }
}

template <class T, class Op>
DG_INLINE typename Simd<T>::vec extreme(const T* x, int64_t length) {
  Lanes<T, Op> lanes;
  lanes.run(x, length);
  return lanes.everywhere();
}

// Any order gives the same extreme, so a vector of segments is transposed instead of folded one by one.
template <class T, class Op>
void segment_extreme(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<T>;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t first = begin; first < end; first += V::width) {
    const int n = at_most(end - first, V::width);
    typename V::vec rows[V::width];
    for (int s = 0; s < n; ++s) {
      const Span span = span_of(args, first + s);
      Lanes<T, Op> lanes;
      lanes.run(static_cast<const T*>(args.values) + span.begin, span.length);
      rows[s] = lanes.halved();
    }
    for (int s = n; s < V::width; ++s) rows[s] = V::zero();
    transpose(rows);
    DG_UNROLL
    for (int half = V::width / 2; half > 0; half /= 2) {
      DG_UNROLL
      for (int l = 0; l < half; ++l) rows[l] = Op::join(rows[l + half], rows[l]);
    }
    V::store_n(static_cast<T*>(args.out) + first, rows[0], n);
  }
}

// The first position of the extreme; -1 for an empty segment.
template <class T, class Op>
void segment_place(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    const T* x = static_cast<const T*>(args.values) + span.begin;
    const T best = first_lane(extreme<T, Op>(x, span.length));
    int64_t at = 0;
    if (best == best) {
      while (at < span.length && x[at] != best) ++at;
    } else {
      while (at < span.length && x[at] == x[at]) ++at;
    }
    static_cast<int64_t*>(args.out)[s] = span.length > 0 ? at : -1;
  }
}

// Calls body(position, elements) for each vector of a segment.
template <class T, class Body>
DG_INLINE void each_vector(int64_t length, Body body) {
  int64_t at = 0;
  for (; at + Simd<T>::width <= length; at += Simd<T>::width) body(at, Simd<T>::width);
  if (at < length) body(at, static_cast<int>(length - at));
}

template <class T>
DG_INLINE typename Simd<T>::vec load_some(const T* p, int n) {
  return n == Simd<T>::width ? Simd<T>::load(p) : Simd<T>::load_n(p, n);
}
template <class T>
DG_INLINE void store_some(T* p, typename Simd<T>::vec a, int n) {
  n == Simd<T>::width ? Simd<T>::store(p, a) : Simd<T>::store_n(p, a, n);
}

template <class T>
void segment_layer_norm(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<T>;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    if (span.length == 0) continue;
    const T* x = static_cast<const T*>(args.values) + span.begin;
    T* y = static_cast<T*>(args.out) + span.begin;
    const typename V::vec length = V::set1(static_cast<T>(span.length));
    Lanes<T, Sum<T>> lanes;
    lanes.run(span.length, [&](int64_t at, int n) DG_INLINE_LAMBDA { return load_some(x + at, n); });
    const typename V::vec mean = quotient(lanes.everywhere(), length);
    // Squares join their chains by a multiply-add, so they are no case of Lanes::run.
    for (int v = 0; v < lanes.count; ++v) lanes.lane[v] = V::zero();
    for (int64_t at = 0; at < span.length; at += kLanes) {
      for (int v = 0; v < lanes.count; ++v) {
        const int64_t left = span.length - at - v * V::width;
        const typename V::vec d =
            difference(load_or(x + at + v * V::width, at_most(left > 0 ? left : 0, V::width), mean), mean);
        lanes.lane[v] = V::fma(d, d, lanes.lane[v]);
      }
    }
    const typename V::vec variance = quotient(lanes.everywhere(), length);
    const typename V::vec factor =
        quotient(V::set1(T(1)), root(sum(variance, V::set1(static_cast<T>(args.epsilon)))));
    each_vector<T>(span.length, [&](int64_t at, int n) DG_INLINE_LAMBDA {
      store_some(y + at, product(difference(load_some(x + at, n), mean), factor), n);
    });
  }
}

template <class T>
void segment_cumsum(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    const T* x = static_cast<const T*>(args.values) + span.begin;
    T* y = static_cast<T*>(args.out) + span.begin;
    T chain = T(0);
    for (int64_t at = 0; at < span.length; ++at) y[at] = chain = chain + x[at];
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
