// Reductions and normalisations of segments whose rows have several elements: each element of a row is one
// ascending chain over the segment's rows, the order of an embedding bag, and a vector holds the chains of
// adjacent elements.
//
// Counts are those of segments-inl.h. A block is four vectors wide, so that four chains hide each other's
// latency and whole cache lines of a row are read; the rows of a segment are read again for each further
// pass, from cache unless the segment is large.
#pragma once

#include "kernels/segments-inl.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr int kBlock = 4;

// One vector or kBlock of adjacent columns of the rows of a segment.
template <class T, int B>
struct Block {
  using V = Simd<T>;
  typename V::vec part[B];
  int last;  // elements of the last vector
  static constexpr int count = B;

  DG_INLINE Block filled(T value) const {
    Block made;
    made.last = last;
    for (int b = 0; b < B; ++b) made.part[b] = V::set1(value);
    return made;
  }
  DG_INLINE typename V::vec load(const T* row, int b) const {
    return b == B - 1 ? load_some(row + b * V::width, last) : V::load(row + b * V::width);
  }
  DG_INLINE void store(T* row, int b, typename V::vec a) const {
    b == B - 1 ? store_some(row + b * V::width, a, last) : V::store(row + b * V::width, a);
  }
  // part[b] = step(elements of each row, part[b], row, b), in ascending order.
  template <class Step>
  DG_INLINE void over(const T* x, int64_t rows, int64_t stride, Step step) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int b = 0; b < B; ++b) part[b] = step(load(x + r * stride, b), part[b], r, b);
    }
  }
};

// Calls body(block of B vectors, first column) until all columns of a row are done.
template <class T, class Body>
DG_INLINE void each_block(int64_t columns, Body body) {
  constexpr int W = Simd<T>::width;
  int64_t c = 0;
  for (; columns - c > (kBlock - 1) * W; c += kBlock * W) {
    Block<T, kBlock> block;
    block.last = at_most(columns - c - (kBlock - 1) * W, W);
    body(block, c);
  }
  for (; c < columns; c += W) {
    Block<T, 1> block;
    block.last = at_most(columns - c, W);
    body(block, c);
  }
}

template <class T, class Op>
void columns_reduce(const void* raw, int64_t begin, int64_t end, int, void*) {
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  using vec = typename Simd<T>::vec;
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    const T* x = static_cast<const T*>(args.values) + span.begin * args.columns;
    T* out = static_cast<T*>(args.out) + s * args.columns;
    each_block<T>(args.columns, [&](auto& block, int64_t c) DG_INLINE_LAMBDA {
      block = block.filled(Op::nothing());
      block.over(x + c, span.length, args.columns,
                 [](vec a, vec chain, int64_t, int) DG_INLINE_LAMBDA { return Op::join(a, chain); });
      for (int b = 0; b < block.count; ++b) {
        block.store(out + c, b, block.part[b]);
      }
    });
  }
}

template <class T>
DG_INLINE bool beats(T a, T best, Largest<T>) {
  return a > best;
}
template <class T>
DG_INLINE bool beats(T a, T best, Smallest<T>) {
  return a < best;
}

template <class T, class Op>
void columns_place(const void* raw, int64_t begin, int64_t end, int, void*) {
  constexpr int kColumns = 64;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    for (int64_t c = 0; c < args.columns; c += kColumns) {
      const int n = at_most(args.columns - c, kColumns);
      const T* x = static_cast<const T*>(args.values) + span.begin * args.columns + c;
      int64_t* place = static_cast<int64_t*>(args.out) + s * args.columns + c;
      T best[kColumns];
      for (int j = 0; j < n; ++j) place[j] = span.length > 0 ? 0 : -1;
      for (int j = 0; j < n && span.length > 0; ++j) best[j] = x[j];
      for (int64_t r = 1; r < span.length; ++r) {
        for (int j = 0; j < n; ++j) {
          const T a = x[r * args.columns + j];
          if (best[j] == best[j] && (a != a || beats(a, best[j], Op()))) {
            best[j] = a;
            place[j] = r;
          }
        }
      }
    }
  }
}

template <class T, bool Log>
void columns_softmax(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<T>;
  using vec = typename V::vec;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    const int64_t stride = args.columns;
    const T* values = static_cast<const T*>(args.values) + span.begin * stride;
    T* out = static_cast<T*>(args.out) + span.begin * stride;
    each_block<T>(stride, [&](auto& block, int64_t c) DG_INLINE_LAMBDA {
      const T* x = values + c;
      T* y = out + c;
      auto largest = block.filled(Largest<T>::nothing());
      largest.over(x, span.length, stride, [](vec a, vec chain, int64_t, int) DG_INLINE_LAMBDA {
        return Largest<T>::join(a, chain);
      });
      block = block.filled(T(0));
      block.over(x, span.length, stride, [&](vec a, vec chain, int64_t, int b) DG_INLINE_LAMBDA {
        return sum(chain, exponential<T>(difference(a, largest.part[b])));
      });
      if (Log) {
        for (int b = 0; b < block.count; ++b) block.part[b] = logarithm<T>(block.part[b]);
        block.over(x, span.length, stride, [&](vec a, vec total, int64_t r, int b) DG_INLINE_LAMBDA {
          block.store(y + r * stride, b, difference(difference(a, largest.part[b]), total));
          return total;
        });
      } else {
        // Exponentials are made again, not kept in `out`: where a row is narrower than a vector, reading it
        // back waits for the masked store of the row before (1261 against 568 microseconds for 213,886
        // rows of 8 floats), and wider rows take as long either way.
        block.over(x, span.length, stride, [&](vec a, vec total, int64_t r, int b) DG_INLINE_LAMBDA {
          block.store(y + r * stride, b, quotient(exponential<T>(difference(a, largest.part[b])), total));
          return total;
        });
      }
    });
  }
}

template <class T>
void columns_layer_norm(const void* raw, int64_t begin, int64_t end, int, void*) {
  using V = Simd<T>;
  using vec = typename V::vec;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    const int64_t stride = args.columns;
    const T* values = static_cast<const T*>(args.values) + span.begin * stride;
    T* out = static_cast<T*>(args.out) + span.begin * stride;
    const vec length = V::set1(static_cast<T>(span.length)), one = V::set1(T(1));
    const vec epsilon = V::set1(static_cast<T>(args.epsilon));
    each_block<T>(stride, [&](auto& block, int64_t c) DG_INLINE_LAMBDA {
      const T* x = values + c;
      T* y = out + c;
      auto mean = block.filled(T(0));
      mean.over(x, span.length, stride,
                [](vec a, vec chain, int64_t, int) DG_INLINE_LAMBDA { return sum(chain, a); });
      for (vec& m : mean.part) m = quotient(m, length);
      block = block.filled(T(0));
      block.over(x, span.length, stride, [&](vec a, vec chain, int64_t, int b) DG_INLINE_LAMBDA {
        const vec d = difference(a, mean.part[b]);
        return V::fma(d, d, chain);
      });
      for (vec& v : block.part) v = quotient(one, root(sum(quotient(v, length), epsilon)));
      block.over(x, span.length, stride, [&](vec a, vec factor, int64_t r, int b) DG_INLINE_LAMBDA {
        block.store(y + r * stride, b, product(difference(a, mean.part[b]), factor));
        return factor;
      });
    });
  }
}

template <class T>
void columns_cumsum(const void* raw, int64_t begin, int64_t end, int, void*) {
  using vec = typename Simd<T>::vec;
  const SegmentArgs& args = *static_cast<const SegmentArgs*>(raw);
  for (int64_t s = begin; s < end; ++s) {
    const Span span = span_of(args, s);
    const int64_t stride = args.columns;
    const T* values = static_cast<const T*>(args.values) + span.begin * stride;
    T* out = static_cast<T*>(args.out) + span.begin * stride;
    each_block<T>(stride, [&](auto& block, int64_t c) DG_INLINE_LAMBDA {
      block = block.filled(T(0));
      block.over(values + c, span.length, stride, [&](vec a, vec chain, int64_t r, int b) DG_INLINE_LAMBDA {
        const vec total = sum(chain, a);
        block.store(out + c + r * stride, b, total);
        return total;
      });
    });
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
