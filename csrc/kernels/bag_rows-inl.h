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

template <class S>
struct PlainRow {
  using T = typename ChainOf<S>::type;
  using vec = typename Simd<T>::vec;
  static constexpr int bits = 8 * sizeof(S);
  const S* row;

  DG_INLINE PlainRow(const BagTable&, const unsigned char* at, int64_t)
      : row(reinterpret_cast<const S*>(at)) {}
  DG_INLINE vec load(int64_t column) const { return Storage<T, S>::load(row + column); }
  DG_INLINE vec load_n(int64_t column, int n) const { return Storage<T, S>::load_n(row + column, n); }
};

// Integers of a byte each.
template <class S>
struct Codes {
  static constexpr int bits = 8;
  using vec = Simd<float>::vec;
  DG_INLINE static vec load(const BagTable&, const unsigned char* row, int64_t column) {
    return Storage<float, S>::load(reinterpret_cast<const S*>(row) + column);
  }
  DG_INLINE static vec load_n(const BagTable&, const unsigned char* row, int64_t column, int n) {
    return Storage<float, S>::load_n(reinterpret_cast<const S*>(row) + column, n);
  }
};

// Integers of `Bits` bits each, counted from the least one on. Vectors begin at columns that are multiples of
// their width, hence at whole bytes.
template <int Bits>
struct Packed {
  static constexpr int bits = Bits;
  using vec = Simd<float>::vec;
  static constexpr int W = Simd<float>::width;

  DG_INLINE static vec load(const BagTable& table, const unsigned char* row, int64_t column) {
    return load_n(table, row, column, W);
  }
#if DG_ISA_AVX512 || DG_ISA_AVX2
  DG_INLINE static vec load_n(const BagTable& table, const unsigned char* row, int64_t column, int n) {
    const unsigned char* from = row + column * Bits / 8;
    uint64_t packed = 0;
    if (n == W) {
      memcpy(&packed, from, W * Bits / 8);
    } else {
      for (int i = 0; i < (n * Bits + 7) / 8; ++i) packed |= static_cast<uint64_t>(from[i]) << (8 * i);
    }
    __m128i codes = _mm_cvtsi64_si128(static_cast<long long>(packed));
    codes = _mm_xor_si128(codes, _mm_set1_epi8(static_cast<char>(table.flipped)));
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
  DG_INLINE static vec load_n(const BagTable& table, const unsigned char* row, int64_t column, int n) {
    if (n <= 0) return 0.0f;
    const int codes = row[column * Bits / 8] ^ table.flipped;
    return static_cast<float>(codes >> column * Bits % 8 & ((1 << Bits) - 1));
  }
#endif
};

DG_INLINE float number_at(const void* numbers, DType type, int64_t at) {
  if (type == DType::f32) return static_cast<const float*>(numbers)[at];
  if (type == DType::f16) return widened(static_cast<const Float16*>(numbers)[at]);
  return widened(static_cast<const BFloat16*>(numbers)[at]);
}

template <class C>
struct ScaledRow {
  using T = float;
  using V = Simd<float>;
  using vec = V::vec;
  static constexpr int bits = C::bits;
  const BagTable& table;
  const unsigned char* row;
  vec zero, scale, shift;

  DG_INLINE ScaledRow(const BagTable& of, const unsigned char* at, int64_t id) : table(of), row(at) {
    const int64_t place = id * table.scale_step;
    scale = V::set1(number_at(table.scales, table.scale_type, place));
    shift = table.shifts == nullptr ? V::zero() : V::set1(number_at(table.shifts, table.scale_type, place));
    zero = V::set1(static_cast<float>(table.raised + zero_point(place)));
  }
  // The difference of whole numbers is exact; a shift of +0 changes no product but the sign of a zero.
  DG_INLINE vec load(int64_t column) const {
    return V::fma(difference(C::load(table, row, column), zero), scale, shift);
  }
  DG_INLINE vec load_n(int64_t column, int n) const {
    return V::fma(difference(C::load_n(table, row, column, n), zero), scale, shift);
  }

 private:
  DG_INLINE int zero_point(int64_t place) const {
    if (table.zero_points == nullptr) return 0;
    if (table.zero_points_signed) return static_cast<const int8_t*>(table.zero_points)[place];
    return static_cast<const uint8_t*>(table.zero_points)[place];
  }
};

}  // namespace
}  // namespace deepgemm::DG_ISA
