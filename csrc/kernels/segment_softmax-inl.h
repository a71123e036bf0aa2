// Softmax and its logarithm within segments whose rows are single elements, in the order of segments-inl.h.
//
// Counts, for each element: two reads from memory or cache, one exp (elementary-inl.h), a write, and a
// rewrite that divides. A segment of a few vectors stays in registers from its first read to its only write.
#pragma once

#include "kernels/segments-inl.h"

namespace deepgemm::DG_ISA {
namespace {

// Segments of N vectors, the last of which may be partial. What the loops over longer ones lose is not so
// much their instructions as the branches at their ends, which nobody can foresee: three for each segment.
template <class T, bool Log, int N>
void softmax_of(const T* x, T* y, int64_t length) {
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int W = V::width;
  const int last = static_cast<int>(length - (N - 1) * W);
  vec part[N];
  for (int v = 0; v < N - 1; ++v) part[v] = V::load(x + v * W);
  part[N - 1] = load_or(x + (N - 1) * W, last, V::set1(static_cast<T>(-INFINITY)));
  Lanes<T, LargestNumber<T>> most;
  for (int v = 0; v < most.count; ++v) most.lane[v] = part[v < N ? v : 0];
  for (int v = most.count; v < N; ++v)
    most.lane[v % most.count] = larger_number(part[v], most.lane[v % most.count]);
  const vec largest = most.everywhere();
  vec e[N];
  for (int v = 0; v < N; ++v) {
    part[v] = difference(part[v], largest);
    e[v] = exponential<T>(part[v]);
  }
  Lanes<T, Sum<T>> sums;
  for (int v = 0; v < sums.count; ++v) sums.lane[v] = v < N ? e[v] : V::zero();
  for (int v = sums.count; v < N; ++v) sums.lane[v % sums.count] = sum(sums.lane[v % sums.count], e[v]);
  const vec total = sums.everywhere();
  const vec log_total = Log ? logarithm<T>(total) : V::zero();
  for (int v = 0; v < N; ++v) {
    const vec found = Log ? difference(part[v], log_total) : quotient(e[v], total);
    v < N - 1 ? V::store(y + v * W, found) : V::store_n(y + v * W, found, last);
  }
}

// Whether the segment is that short, and done.
template <class T, bool Log>
DG_INLINE bool short_softmax(const T* x, T* y, int64_t length) {
  constexpr int W = Simd<T>::width;
  if constexpr (W == 1) return false;
  switch ((length + W - 1) / W) {
    case 1:
      softmax_of<T, Log, 1>(x, y, length);
      return true;
    case 2:
      softmax_of<T, Log, 2>(x, y, length);
      return true;
    case 3:
      softmax_of<T, Log, 3>(x, y, length);
      return true;
    case 4:
      softmax_of<T, Log, 4>(x, y, length);
      return true;
    default:
      return false;
  }
}

// Log says which of the two: exponentials are kept in `out` until their sum is known, or not kept. Those of
// a partial vector stay in a register: reading a masked vector back right after it was stored waits for
// the store (160 microseconds for 22,363 segments of 5 to 204 floats, 130 without).
template <class T, bool Log>
void segment_softmax(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<T>;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    if (span.length == 0) continue;
    const T* x = static_cast<const T*>(args.values) + span.begin;
    T* y = static_cast<T*>(args.out) + span.begin;
    if (short_softmax<T, Log>(x, y, span.length)) continue;
    const typename V::vec largest = extreme<T, LargestNumber<T>>(x, span.length);
    const typename V::vec low = V::set1(static_cast<T>(-INFINITY));
    typename V::vec partial = V::zero();
    Lanes<T, Sum<T>> lanes;
    lanes.run(span.length, [&](int64_t at, int n) DG_INLINE_LAMBDA {
      const typename V::vec part = n == V::width ? V::load(x + at) : load_or(x + at, n, low);
      const typename V::vec e = exponential<T>(difference(part, largest));
      if (n < V::width) {
        partial = e;
      } else if (!Log) {
        V::store(y + at, e);
      }
      return e;
    });
    const typename V::vec total = lanes.everywhere();
    if (Log) {
      const typename V::vec log_total = logarithm<T>(total);
      each_vector<T>(span.length, [&](int64_t at, int n) DG_INLINE_LAMBDA {
        store_some(y + at, difference(difference(load_some(x + at, n), largest), log_total), n);
      });
    } else {
      each_vector<T>(span.length, [&](int64_t at, int n) DG_INLINE_LAMBDA {
        const typename V::vec e = n < V::width ? partial : V::load(y + at);
        store_some(y + at, quotient(e, total), n);
      });
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
