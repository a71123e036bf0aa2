// Embedding bags: rows of a table, picked by ids, joined into one row for each bag.
//
// Counts, for each id: the id and its row are read, in order, and nothing else leaves the registers: a pass
// takes up to 8 vectors of columns, wider rows take several passes. Random rows come from memory, so
// the kernel is a stream of prefetches with some arithmetic beside it. An id is compared with the number of
// rows before it is used; prefetched addresses need no check, because a prefetch cannot fault.
#pragma once

#include <math.h>

#include "kernels/bag_rows-inl.h"
#include "kernels/passes-inl.h"
#include "kernels/span-inl.h"
#include "simd/reduce.h"

namespace deepgemm::DG_ISA {
namespace {

// Rows are asked for so many bytes ahead of their use, and at most so many ids. From memory, rows of 64 bytes
// reached 3.3 GB/s with 16 ids ahead, 4.6 with 32 and 5.4 to 6.5 with 64; rows of 256 bytes 11 without, 14
// with 16 and 19 with 32; rows of 512 bytes were alike from 16 to 48. In the third cache it hardly matters.
constexpr int64_t kBytesAhead = 8192;
constexpr int64_t kMostAhead = 64;
constexpr int64_t kLeastAhead = 8;

DG_INLINE int64_t ids_ahead(int64_t bytes) {
  const int64_t ids = kBytesAhead / (bytes > 0 ? bytes : 1);
  return ids > kMostAhead ? kMostAhead : ids < kLeastAhead ? kLeastAhead : ids;
}

DG_INLINE int64_t id_at(const void* ids, bool wide, int64_t position) {
  if (wide) [[likely]] {
    return static_cast<const int64_t*>(ids)[position];
  }
  return static_cast<const int32_t*>(ids)[position];
}

// Addresses as integers: an id that is no row must not make a pointer.
DG_INLINE uintptr_t address(const void* base, int64_t id, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(base) + static_cast<uintptr_t>(id) * static_cast<uintptr_t>(bytes);
}
DG_INLINE void prefetch(uintptr_t at) { DG_PREFETCH(reinterpret_cast<const void*>(at)); }

// `Bytes` or a few less from an address on: every 64th, and unless lines are `Whole` the last, whatever the
// alignment. Rows of 64 floats that lie in the caches would do with every other line, which neighbours then
// follow by themselves (4 to 8 % less), but from memory they took 25 % more.
template <int Bytes, bool Whole>
DG_INLINE void prefetch_row(uintptr_t at, int64_t bytes) {
  DG_UNROLL
  for (int line = 0; line < Bytes; line += 64) prefetch(at + line);
  if constexpr (!Whole) prefetch(at + static_cast<uintptr_t>(bytes) - 1);
}

// How a row joins its bag, and what a bag without rows has.
template <class T>
struct BagSum {
  using V = Simd<T>;
  using vec = typename V::vec;
  static constexpr bool takes_zero_rows = false, is_common = true;
  DG_INLINE static vec nothing() { return V::zero(); }
  DG_INLINE static vec join(vec row, vec chain) { return sum(row, chain); }
  DG_INLINE static vec join(vec weight, vec row, vec chain) { return V::fma(weight, row, chain); }
};
template <class T>
struct BagMax {
  using V = Simd<T>;
  using vec = typename V::vec;
  static constexpr bool takes_zero_rows = true, is_common = false;
  DG_INLINE static vec nothing() { return V::set1(static_cast<T>(-INFINITY)); }
  DG_INLINE static vec join(vec row, vec chain) { return larger(row, chain); }
  DG_INLINE static vec join(vec, vec row, vec chain) { return larger(row, chain); }
};

// Once for each bag, so it need not be in every pass. Doubles are never narrowed.
template <class Vector>
DG_NOINLINE void store_narrow(DType type, unsigned char* to, int64_t column, Vector x, int n) {
  if (type == DType::f16) {
    Storage<float, Float16>::store_n(reinterpret_cast<Float16*>(to) + column, x, n);
  } else {
    Storage<float, BFloat16>::store_n(reinterpret_cast<BFloat16*>(to) + column, x, n);
  }
}

// NV vectors of columns from `column` on, the last of `last` elements. What the loop over ids needs is held
// in variables of its own: with the arguments behind a reference, and a loop over lines of unknown number to
// prefetch, 41,000 rows of 64 floats took 183 microseconds in cache, not 113, on one core.
// What is common has no weights, and rows without zero points: 41,000 rows of 64 int8 took 134 microseconds
// in cache with both asked for at each id, 105 without. Branches that are taken in each turn cost more than
// their instructions, because where a bag ends is then forgotten: with three more, packed rows of 32 bytes
// took 2.6 ns from the first cache, not 1.75. Ids checked a block at a time before the loop did not help (77
// against 69 microseconds for 41,000 rows of 64 floats in the first cache).
// Where the type of ids is known, no row is left out and bags are not short, pairs of plain rows share what a
// turn costs, which is an eighth. Rows of integers, whose conversion takes longer, gained nothing, and bags
// of one id lost a tenth.
struct AnyId {};
template <class Row, template <class> class Op, int NV, bool Common, class Id = AnyId>
void bag_pass(const BagArgs& args, int64_t begin, int64_t end, int64_t column, int last, BagFault& fault) {
  using T = typename Row::T;
  using V = Simd<T>;
  using vec = typename V::vec;
  constexpr int kBytes = NV * V::width * Row::bits / 8;
  const int64_t bytes = (static_cast<int64_t>((NV - 1) * V::width + last) * Row::bits + 7) / 8;
  const int64_t ahead = ids_ahead(bytes), row_bytes = args.table.row_bytes;
  const uint64_t count = static_cast<uint64_t>(args.table.count);
  const void* const ids = args.ids;
  const bool wide = args.wide_ids, mean = args.mean;
  const int64_t padding = args.padding, id_count = args.id_count;
  const unsigned char* const part = args.table.rows + column * Row::bits / 8;
  const T* const weights = static_cast<const T*>(args.weights);
  const typename Row::Shared shared(args, column);
  const vec one = V::set1(T(1));
  for (int64_t bag = begin; bag < end; ++bag) {
    const Span span = span_of(args, bag);
    int64_t stop = span.begin + span.length, left_out = 0;
    if (span.begin < 0 || stop > args.id_count) {
      if (fault.position < 0) fault.position = args.id_count;
      stop = span.begin;
    }
    vec chain[NV];
    DG_UNROLL
    for (int v = 0; v < NV; ++v) chain[v] = Op<T>::nothing();
    const auto ask = [&](int64_t next) DG_INLINE_LAMBDA {
      prefetch_row<kBytes, Row::Shared::in_lines>(address(part, next, row_bytes), bytes);
      shared.prefetch(next);
    };
    const auto take = [&](int64_t id, int64_t at) DG_INLINE_LAMBDA {
      const Row row(shared, reinterpret_cast<const unsigned char*>(address(part, id, row_bytes)), id);
      const vec weight = Common || weights == nullptr ? one : V::set1(weights[at]);
      const auto join = [&](vec element, vec chain) DG_INLINE_LAMBDA {
        if constexpr (Common) return Op<T>::join(element, chain);
        return Op<T>::join(weight, element, chain);
      };
      DG_UNROLL
      for (int v = 0; v < NV - 1; ++v) chain[v] = join(row.load(v * V::width), chain[v]);
      chain[NV - 1] = join(row.load_n((NV - 1) * V::width, last), chain[NV - 1]);
    };
    int64_t at = span.begin;
    if constexpr (!__is_same(Id, AnyId)) {
      const Id* const known = static_cast<const Id*>(ids);
      for (const int64_t sure = min64(stop, id_count - ahead) - 1; at < sure; at += 2) {
        const int64_t first = known[at], second = known[at + 1];
        if (static_cast<uint64_t>(first) >= count || static_cast<uint64_t>(second) >= count) [[unlikely]] {
          break;
        }
        ask(known[at + ahead]);
        ask(known[at + ahead + 1]);
        take(first, at);
        take(second, at + 1);
      }
    }
    for (; at < stop; ++at) {
      if (at + ahead < id_count) [[likely]] {
        ask(id_at(ids, wide, at + ahead));
      }
      int64_t id = id_at(ids, wide, at);
      if (static_cast<uint64_t>(id) >= count) [[unlikely]] {
        if (args.out_of_range != OutOfRange::clip) {
          if (args.out_of_range == OutOfRange::refuse && fault.position < 0) fault.position = at;
          if constexpr (Op<T>::takes_zero_rows) {
            DG_UNROLL
            for (int v = 0; v < NV; ++v) chain[v] = Op<T>::join(V::zero(), chain[v]);
          }
          continue;
        }
        id = id < 0 ? 0 : args.table.count - 1;
      }
      if (id == padding) [[unlikely]] {
        ++left_out;
        continue;
      }
      take(id, at);
    }
    // A sum of nothing is zero already; whether a bag is empty is a branch that nobody can foresee.
    if (Op<T>::takes_zero_rows || mean) {
      const int64_t counted = stop > span.begin ? stop - span.begin - left_out : 0;
      if (counted == 0) {
        DG_UNROLL
        for (int v = 0; v < NV; ++v) chain[v] = V::zero();
      } else if (mean) {
        const vec divisor = V::set1(static_cast<T>(counted));
        DG_UNROLL
        for (int v = 0; v < NV; ++v) chain[v] = quotient(chain[v], divisor);
      }
    }
    DG_UNROLL
    for (int v = 0; v < NV; ++v) chain[v] = Row::in_order(chain[v]);
    unsigned char* to = args.out + bag * args.out_bytes;
    if constexpr (sizeof(T) == 4) {
      if (args.out_type != DType::f32) {
        DG_UNROLL
        for (int v = 0; v < NV; ++v) {
          store_narrow(args.out_type, to, column + v * V::width, chain[v], v < NV - 1 ? V::width : last);
        }
        continue;
      }
    }
    T* elements = reinterpret_cast<T*>(to) + column;
    DG_UNROLL
    for (int v = 0; v < NV - 1; ++v) shared.store(elements, v * V::width, chain[v]);
    V::store_n(elements + (NV - 1) * V::width, chain[NV - 1], last);
  }
}

#if DG_ISA_AVX512
// Whether that was done by lines: for rows that lie alike in them and are more than a line.
template <class T, template <class> class Op, class Id>
DG_INLINE bool bags_in_lines(const BagArgs& args, int64_t begin, int64_t end, BagFault& fault) {
  constexpr int W = Simd<T>::width, kLine = W * static_cast<int>(sizeof(T)), kMost = 9;
  const uintptr_t at = reinterpret_cast<uintptr_t>(args.table.rows + args.column * sizeof(T));
  const int64_t before = static_cast<int64_t>(at % kLine / sizeof(T)), lanes = before + args.columns;
  const int64_t lines = (lanes + W - 1) / W;
  if (args.table.row_bytes % kLine != 0 || at % sizeof(T) != 0 || size_of(args.out_type) != sizeof(T) ||
      args.columns <= W || lines > kMost) {
    return false;
  }
  const auto pass = [&]<int NV>() {
    const int last = static_cast<int>(lanes - (NV - 1) * W);
    bag_pass<LineRow<T>, Op, NV, true, Id>(args, begin, end, args.column - before, last, fault);
  };
  if (lines == kMost) {
    pass.template operator()<kMost>();
  } else {
    with_count<kMost - 1>(lines, [&]<int NV>() {
      if constexpr (NV > 1) pass.template operator()<NV>();
    });
  }
  return true;
}
#endif

// Plain rows, two a turn.
template <class Row, template <class> class Op, class Id>
void bags_by_pairs(const BagArgs& args, int64_t begin, int64_t end, BagFault& fault) {
  using T = typename Row::T;
#if DG_ISA_AVX512
  if constexpr (Row::bits == 8 * sizeof(T)) {
    if (bags_in_lines<T, Op, Id>(args, begin, end, fault)) return;
  }
#endif
  for_each_pass<Simd<T>>(args.column, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
    bag_pass<Row, Op, NV, true, Id>(args, begin, end, column, Masked ? tail : Simd<T>::width, fault);
  });
}

// Whether bags have so many ids on average that pairs of them are worth a loop.
DG_INLINE bool has_pairs(const BagArgs& args, int64_t begin, int64_t end) {
  constexpr int64_t kLeast = 4;
  if (begin >= end) return false;
  const Span last = span_of(args, end - 1);
  return last.begin + last.length - span_of(args, begin).begin >= kLeast * (end - begin);
}

template <class Rows, template <class> class Op>
void bags(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const BagArgs& args = *static_cast<const BagArgs*>(raw);
  BagFault& fault = *static_cast<BagFault*>(workspace);
  using Common = typename Rows::template Row<true>;
  using T = typename Common::T;
  const bool common = args.weights == nullptr && args.table.zero_points == nullptr &&
                      (args.table.scales == nullptr || args.table.scale_type == DType::f32);
  if constexpr (Op<T>::is_common && Rows::are_plain) {
    if (common && args.padding < 0 && has_pairs(args, begin, end)) {
      return args.wide_ids ? bags_by_pairs<Common, Op, int64_t>(args, begin, end, fault)
                           : bags_by_pairs<Common, Op, int32_t>(args, begin, end, fault);
    }
  }
  for_each_pass<Simd<T>>(args.column, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
    const int last = Masked ? tail : Simd<T>::width;
    if constexpr (Op<T>::is_common) {
      if (common) return bag_pass<Common, Op, NV, true>(args, begin, end, column, last, fault);
    }
    bag_pass<typename Rows::template Row<false>, Op, NV, false>(args, begin, end, column, last, fault);
  });
}

}  // namespace
}  // namespace deepgemm::DG_ISA
