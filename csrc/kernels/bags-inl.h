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

namespace deepgemm::DG_ISA {
namespace {

// Rows are asked for so many bytes ahead of their use, and at most so many ids. From memory, rows of 64 bytes
// reached 3.3 GB/s with 16 ids ahead, 4.6 with 32 and 5.4 to 6.5 with 64; rows of 256 bytes 11 without, 14
// with 16 and 19 with 32; rows of 512 bytes were alike from 16 to 48. In the third cache it hardly matters.
constexpr int64_t kBytesAhead = 8192;
constexpr int64_t kMostAhead = 64;
constexpr int64_t kLeastAhead = 8;
constexpr uintptr_t kLine = 64;

DG_INLINE int64_t ids_ahead(int64_t bytes) {
  const int64_t ids = kBytesAhead / (bytes > 0 ? bytes : 1);
  return ids > kMostAhead ? kMostAhead : ids < kLeastAhead ? kLeastAhead : ids;
}

DG_INLINE int64_t id_at(const BagArgs& args, int64_t position) {
  return args.wide_ids ? static_cast<const int64_t*>(args.ids)[position]
                       : static_cast<const int32_t*>(args.ids)[position];
}

// Addresses as integers: an id that is no row must not make a pointer.
DG_INLINE uintptr_t row_at(const BagTable& table, int64_t id) {
  return reinterpret_cast<uintptr_t>(table.rows) +
         static_cast<uintptr_t>(id) * static_cast<uintptr_t>(table.row_bytes);
}

DG_INLINE void prefetch_row(const BagTable& table, int64_t id, int64_t first_byte, int64_t bytes) {
  const uintptr_t begin = row_at(table, id) + static_cast<uintptr_t>(first_byte);
  const uintptr_t end = begin + static_cast<uintptr_t>(bytes);
  for (uintptr_t line = begin / kLine * kLine; line < end; line += kLine) {
    DG_PREFETCH(reinterpret_cast<const void*>(line));
  }
  if (table.scale_step != 0) {
    const uintptr_t place = static_cast<uintptr_t>(id) * (table.scale_type == DType::f32 ? 4 : 2);
    DG_PREFETCH(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(table.scales) + place));
    if (table.shifts != nullptr) {
      DG_PREFETCH(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(table.shifts) + place));
    }
  }
}

// How a row joins its bag, and what a bag without rows has.
template <class T>
struct BagSum {
  using V = Simd<T>;
  using vec = typename V::vec;
  static constexpr bool takes_zero_rows = false;
  DG_INLINE static vec nothing() { return V::zero(); }
  DG_INLINE static vec join(vec weight, vec row, vec chain) { return V::fma(weight, row, chain); }
};
template <class T>
struct BagMax {
  using V = Simd<T>;
  using vec = typename V::vec;
  static constexpr bool takes_zero_rows = true;
  DG_INLINE static vec nothing() { return V::set1(static_cast<T>(-INFINITY)); }
  DG_INLINE static vec join(vec, vec row, vec chain) { return larger(row, chain); }
};

// Once for each bag, so it need not be in every pass.
template <class T>
DG_NOINLINE void store_narrow(DType type, unsigned char* to, int64_t column, typename Simd<T>::vec x, int n) {
  if (type == DType::f16) {
    Storage<T, Float16>::store_n(reinterpret_cast<Float16*>(to) + column, x, n);
  } else {
    Storage<T, BFloat16>::store_n(reinterpret_cast<BFloat16*>(to) + column, x, n);
  }
}

template <class T>
DG_INLINE void store_bag(const BagArgs& args, unsigned char* to, int64_t column, typename Simd<T>::vec x,
                         int n) {
  if constexpr (sizeof(T) == 4) {
    if (args.out_type != DType::f32) return store_narrow<T>(args.out_type, to, column, x, n);
  }
  Simd<T>::store_n(reinterpret_cast<T*>(to) + column, x, n);
}

// NV vectors of columns from `column` on, the last of `last` elements.
template <class Row, template <class> class Op, int NV>
void bag_pass(const BagArgs& args, int64_t begin, int64_t end, int64_t column, int last, BagFault& fault) {
  using T = typename Row::T;
  using V = Simd<T>;
  using vec = typename V::vec;
  const int64_t first_byte = column * Row::bits / 8;
  const int64_t bytes = ((NV - 1) * V::width + last) * Row::bits / 8;
  const int64_t ahead = ids_ahead(bytes);
  const vec one = V::set1(T(1));
  for (int64_t bag = begin; bag < end; ++bag) {
    const Span span = span_of(args, bag);
    int64_t stop = span.begin + span.length, counted = 0;
    if (span.begin < 0 || stop > args.id_count) {
      if (fault.position < 0) fault.position = args.id_count;
      stop = span.begin;
    }
    vec chain[NV];
    DG_UNROLL
    for (int v = 0; v < NV; ++v) chain[v] = Op<T>::nothing();
    for (int64_t at = span.begin; at < stop; ++at) {
      if (at + ahead < args.id_count) {
        prefetch_row(args.table, id_at(args, at + ahead), first_byte, bytes);
      }
      int64_t id = id_at(args, at);
      if (static_cast<uint64_t>(id) >= static_cast<uint64_t>(args.table.count)) {
        if (args.out_of_range != OutOfRange::clip) {
          if (args.out_of_range == OutOfRange::refuse && fault.position < 0) fault.position = at;
          ++counted;
          if (Op<T>::takes_zero_rows) {
            for (int v = 0; v < NV; ++v) chain[v] = Op<T>::join(one, V::zero(), chain[v]);
          }
          continue;
        }
        id = id < 0 ? 0 : args.table.count - 1;
      }
      if (id == args.padding) continue;
      ++counted;
      const vec weight = args.weights == nullptr ? one : V::set1(static_cast<const T*>(args.weights)[at]);
      const Row row(args.table, reinterpret_cast<const unsigned char*>(row_at(args.table, id)), id);
      DG_UNROLL
      for (int v = 0; v < NV - 1; ++v) {
        chain[v] = Op<T>::join(weight, row.load(column + v * V::width), chain[v]);
      }
      chain[NV - 1] = Op<T>::join(weight, row.load_n(column + (NV - 1) * V::width, last), chain[NV - 1]);
    }
    if (counted == 0) {
      for (int v = 0; v < NV; ++v) chain[v] = V::zero();
    } else if (args.mean) {
      const vec count = V::set1(static_cast<T>(counted));
      for (int v = 0; v < NV; ++v) chain[v] = quotient(chain[v], count);
    }
    unsigned char* to = args.out + bag * args.out_bytes;
    for (int v = 0; v < NV; ++v) {
      store_bag<T>(args, to, column + v * V::width, chain[v], v < NV - 1 ? V::width : last);
    }
  }
}

template <class Row, template <class> class Op>
void bags(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const BagArgs& args = *static_cast<const BagArgs*>(raw);
  BagFault& fault = *static_cast<BagFault*>(workspace);
  using V = Simd<typename Row::T>;
  for_each_pass<V>(args.column, args.columns, [&]<int NV, bool Masked>(int64_t column, int tail) {
    bag_pass<Row, Op, NV>(args, begin, end, column, Masked ? tail : V::width, fault);
  });
}

}  // namespace
}  // namespace deepgemm::DG_ISA
