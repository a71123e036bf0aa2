// Rows of embedding tables as vectors of the chain's numbers: widened, unpacked and scaled in registers.
//
// A vector of 16 elements costs one load and one conversion for plain rows; scaled ones add a subtraction and
// a multiply-add, and packed ones four operations on bytes.
#pragma once

#include "core/bag_args.h"
#include "kernels/common-inl.h"
#include "simd/arith.h"
#include "simd/storage.h"

namespace deepgemm::DG_ISA {
namespace {

template <class S>
struct ChainOf {
  using type = float;
};
template <>
struct ChainOf<double> {
  using type = double;
};

// Rows are read from a column on; what is read lies so many elements behind it, a number known to the
// compiler.
template <class S>
struct PlainRow {
  using T = typename ChainOf<S>::type;
  using vec = typename Simd<T>::vec;
  static constexpr int bits = 8 * sizeof(S);
  struct Shared {  // what rows have in common
    DG_INLINE Shared(const BagTable&, int64_t) {}
    DG_INLINE void prefetch(int64_t) const {}
  };
  const S* row;

  DG_INLINE PlainRow(const Shared&, const unsigned char* at, int64_t) : row(reinterpret_cast<const S*>(at)) {}
  DG_INLINE vec load(int behind) const { return Storage<T, S>::load(row + behind); }
  DG_INLINE vec load_n(int behind, int n) const { return Storage<T, S>::load_n(row + behind, n); }
};

// Integers of a byte each.
template <class S>
struct Codes {
  static constexpr int bits = 8;
  using vec = Simd<float>::vec;
  const S* row;

  DG_INLINE Codes(const BagTable&, const unsigned char* at, int64_t) : row(reinterpret_cast<const S*>(at)) {}
  DG_INLINE vec load(int behind) const { return Storage<float, S>::load(row + behind); }
  DG_INLINE vec load_n(int behind, int n) const { return Storage<float, S>::load_n(row + behind, n); }
};

// Integers of `Bits` bits each, counted from the least one on. Vectors begin at columns that are multiples of
// their width, hence at whole bytes.
template <int Bits>
struct Packed {
  static constexpr int bits = Bits;
  using vec = Simd<float>::vec;
  static constexpr int W = Simd<float>::width;

  DG_INLINE vec load(int behind) const { return load_n(behind, W); }
#if DG_ISA_AVX512 || DG_ISA_AVX2
  const unsigned char* row;
  __m128i flipped;

  DG_INLINE Packed(const BagTable& table, const unsigned char* at, int64_t)
      : row(at), flipped(_mm_set1_epi8(static_cast<char>(table.flipped))) {}
  DG_INLINE vec load_n(int behind, int n) const {
    const unsigned char* from = row + behind * Bits / 8;
    uint64_t packed = 0;
    if (n == W) {
      memcpy(&packed, from, W * Bits / 8);
    } else {
      for (int i = 0; i < (n * Bits + 7) / 8; ++i) packed |= static_cast<uint64_t>(from[i]) << (8 * i);
    }
    __m128i codes = _mm_cvtsi64_si128(static_cast<long long>(packed));
    codes = _mm_xor_si128(codes, flipped);
    // Halves of bytes side by side, then halves of those: the order of the elements.
    if constexpr (Bits == 2) codes = halves<4>(codes);
    return widen(halves<Bits>(codes));
  }

 private:
  template <int Low>
  DG_INLINE static __m128i halves(__m128i x) {
    const __m128i mask = _mm_set1_epi8((1 << Low) - 1);
    return _mm_unpacklo_epi8(_mm_and_si128(x, mask), _mm_and_si128(_mm_srli_epi16(x, Low), mask));
  }
  DG_INLINE static vec widen(__m128i x) { return DG_ISA::widen(x, uint8_t{}); }
#else
  const unsigned char* row;
  int64_t first;  // elements of the byte at `row` that lie before the column
  int flipped;

  DG_INLINE Packed(const BagTable& table, const unsigned char* at, int64_t column)
      : row(at), first(column % (8 / Bits)), flipped(table.flipped) {}
  DG_INLINE vec load_n(int behind, int n) const {
    if (n <= 0) return 0.0f;
    const int64_t column = first + behind;
    const int codes = row[column * Bits / 8] ^ flipped;
    return static_cast<float>(codes >> column * Bits % 8 & ((1 << Bits) - 1));
  }
#endif
};

DG_INLINE float number_at(const void* numbers, DType type, int64_t at) {
  if (type == DType::f32) [[likely]] {
    return static_cast<const float*>(numbers)[at];
  }
  if (type == DType::f16) return widened(static_cast<const Float16*>(numbers)[at]);
  return widened(static_cast<const BFloat16*>(numbers)[at]);
}

template <class C>
struct ScaledRow {
  using T = float;
  using V = Simd<float>;
  using vec = V::vec;
  static constexpr int bits = C::bits;
  // Scales of float32 without zero points are read at once; what else there is takes a detour, which costs
  // nothing beside the row.
  struct Shared {
    const BagTable& table;
    int64_t column, step;
    const float *scales, *shifts;
    bool simple;
    vec least;  // what stands for zero where there are no zero points
    DG_INLINE Shared(const BagTable& of, int64_t from)
        : table(of),
          column(from),
          step(of.scale_step),
          scales(static_cast<const float*>(of.scales)),
          shifts(static_cast<const float*>(of.shifts)),
          simple(of.scale_type == DType::f32 && of.zero_points == nullptr),
          least(V::set1(static_cast<float>(of.raised))) {}

    DG_INLINE void prefetch(int64_t id) const {
      const uintptr_t behind = static_cast<uintptr_t>(id * step) * (table.scale_type == DType::f32 ? 4 : 2);
      DG_PREFETCH(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(scales) + behind));
      if (shifts != nullptr) {
        DG_PREFETCH(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(shifts) + behind));
      }
    }
  };
  C codes;
  vec zero, scale, shift;

  DG_INLINE ScaledRow(const Shared& shared, const unsigned char* at, int64_t id)
      : codes(shared.table, at, shared.column), zero(shared.least), shift(V::zero()) {
    const int64_t place = id * shared.step;
    if (shared.simple) [[likely]] {
      scale = V::set1(shared.scales[place]);
      if (shared.shifts != nullptr) shift = V::set1(shared.shifts[place]);
      return;
    }
    const BagTable& table = shared.table;
    scale = V::set1(number_at(table.scales, table.scale_type, place));
    if (table.shifts != nullptr) shift = V::set1(number_at(table.shifts, table.scale_type, place));
    if (table.zero_points != nullptr) {
      zero = V::set1(static_cast<float>(table.raised + zero_point(table, place)));
    }
  }
  // The difference of whole numbers is exact; a shift of +0 changes no product but the sign of a zero.
  DG_INLINE vec load(int behind) const { return V::fma(difference(codes.load(behind), zero), scale, shift); }
  DG_INLINE vec load_n(int behind, int n) const {
    return V::fma(difference(codes.load_n(behind, n), zero), scale, shift);
  }

 private:
  DG_INLINE static int zero_point(const BagTable& table, int64_t place) {
    if (table.zero_points_signed) return static_cast<const int8_t*>(table.zero_points)[place];
    return static_cast<const uint8_t*>(table.zero_points)[place];
  }
};

}  // namespace
}  // namespace deepgemm::DG_ISA
