// Floats that the codes of compressed rows stand for, a stretch of them at a time, into L1.
//
// Counts for 16 entries: 16 bytes of codes (8 of nibbles), a load that widens, a subtraction, a
// multiplication, a store; nibbles are bytes first. A dequantising load inside the products would take a
// conversion, two scalar operations and a broadcast for each entry, in each pass over the columns.
#pragma once

#include "core/code_args.h"
#include "kernels/common-inl.h"
#include "simd/arith.h"
#include "simd/storage.h"

namespace deepgemm::DG_ISA {
namespace {

// Numbers with one scale.
template <class S>
DG_INLINE void decode_run(const S* from, int64_t count, float zero, float scale, float* to) {
  using V = Simd<float>;
  const V::vec zeros = V::set1(zero), scales = V::set1(scale);
  int64_t i = 0;
  for (; i + V::width <= count; i += V::width) {
    V::store(to + i, product(difference(Storage<float, S>::load(from + i), zeros), scales));
  }
  if (i == count) return;
  const int n = static_cast<int>(count - i);
  V::store_n(to + i, product(difference(Storage<float, S>::load_n(from + i, n), zeros), scales), n);
}

// Entries of rows, each with a scale of its own.
template <class S>
void decode_by_row(const DecodeArgs& args, const S* from, int64_t begin, int64_t end) {
  const int64_t first = index_of(args.indptr, args.wide, begin);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t start = index_of(args.indptr, args.wide, row) - first;
    const int64_t blocks = index_of(args.indptr, args.wide, row + 1) - first - start;
    // Rows of a block are as short as it is wide; of single entries they are whole rows.
    const int64_t runs = args.height == 1 ? 1 : blocks * args.height;
    const int64_t length = args.height == 1 ? blocks * args.width : args.width;
    int64_t at = start * args.height * args.width;
    for (int64_t run = 0; run < runs; ++run, at += length) {
      const float scale = args.scales.scales[row * args.height + run % args.height];
      decode_run(from + at, length, args.scales.zero, scale, args.to + at);
    }
  }
}

// Scales follow the columns: the numbers are there already, multiplied by 1.
template <class I>
void scale_entries(const I* columns, const float* scales, int64_t count, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] *= scales[columns[i]];
}

inline void scale_by_column(const DecodeArgs& args, int64_t begin, int64_t end) {
  const int64_t first = index_of(args.indptr, args.wide, begin);
  const int64_t last = index_of(args.indptr, args.wide, end);
  const float* scales = args.scales.scales;
  if (args.height * args.width == 1) {
    if (args.wide) {
      return scale_entries(static_cast<const int64_t*>(args.indices) + first, scales, last - first, args.to);
    }
    return scale_entries(static_cast<const int32_t*>(args.indices) + first, scales, last - first, args.to);
  }
  float* to = args.to;
  for (int64_t p = first; p < last; ++p) {
    const float* here = scales + index_of(args.indices, args.wide, p) * args.width;
    for (int64_t i = 0; i < args.height; ++i, to += args.width) {
      for (int64_t j = 0; j < args.width; ++j) to[j] *= here[j];
    }
  }
}

// Nibbles [first, first + count) as bytes; the one before an odd first is left over.
inline const int8_t* unpacked(const uint8_t* from, int64_t first, int64_t count, uint8_t flip, int8_t* to) {
  const uint8_t flips = static_cast<uint8_t>(flip | flip << 4);
  from += first / 2;
  const int64_t bytes = (first % 2 + count + 1) / 2;
  for (int64_t i = 0; i < bytes; ++i) {
    const uint8_t byte = from[i] ^ flips;
    to[2 * i] = static_cast<int8_t>(byte & 15);
    to[2 * i + 1] = static_cast<int8_t>(byte >> 4);
  }
  return to + first % 2;
}

template <class S>
constexpr bool kHoldsNibbles = false;
template <>
constexpr bool kHoldsNibbles<int8_t> = true;

template <class S>
void decode_rows(const void* raw, int64_t begin, int64_t end, int, void* workspace) {
  const DecodeArgs& args = *static_cast<const DecodeArgs*>(raw);
  const int64_t size = args.height * args.width;
  const int64_t first = index_of(args.indptr, args.wide, begin) * size;
  const int64_t count = index_of(args.indptr, args.wide, end) * size - first;
  const CodeScales& scales = args.scales;
  const S* from = static_cast<const S*>(args.codes) + first;
  if constexpr (kHoldsNibbles<S>) {
    if (scales.nibbles) {
      from = unpacked(static_cast<const uint8_t*>(args.codes), first, count, scales.flip,
                      static_cast<int8_t*>(workspace));
    }
  }
  if (scales.of == ScaleOf::row) return decode_by_row(args, from, begin, end);
  decode_run(from, count, scales.zero, scales.of == ScaleOf::all ? scales.scales[0] : 1.0f, args.to);
  if (scales.of == ScaleOf::column) scale_by_column(args, begin, end);
}

}  // namespace
}  // namespace deepgemm::DG_ISA
