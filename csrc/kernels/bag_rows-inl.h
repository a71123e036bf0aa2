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

#if !DG_ISA_AVX512
// Integers of `Bits` bits each, counted from the least one on. Vectors begin at columns that are multiples of
// their width, hence at whole bytes.
template <int Bits>
struct Packed {
  static constexpr int bits = Bits;
  using vec = Simd<float>::vec;
  static constexpr int W = Simd<float>::width;

  DG_INLINE vec load(int behind) const { return load_n(behind, W); }
#if DG_ISA_AVX2
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
#endif

DG_INLINE float number_at(const void* numbers, DType type, int64_t at) {
  if (type == DType::f32) [[likely]] {
    return static_cast<const float*>(numbers)[at];
  }
  if (type == DType::f16) return widened(static_cast<const Float16*>(numbers)[at]);
  return widened(static_cast<const BFloat16*>(numbers)[at]);
}

// The scale, shift and zero point of each row. Scales of float32 without zero points are read at once; what
// else there is takes a detour, which costs little beside the row.
struct Scales {
  using V = Simd<float>;
  const BagTable& table;
  int64_t step;
  const float *scales, *shifts;
  bool simple;
  int raised;

  DG_INLINE Scales(const BagTable& of, int counted_from)
      : table(of),
        step(of.scale_step),
        scales(static_cast<const float*>(of.scales)),
        shifts(static_cast<const float*>(of.shifts)),
        simple(of.scale_type == DType::f32 && of.zero_points == nullptr),
        raised(counted_from) {}

  // `zero` is given as that of a row without zero point.
  DG_INLINE void read(int64_t id, V::vec& zero, V::vec& scale, V::vec& shift) const {
    const int64_t place = id * step;
    shift = V::zero();
    if (simple) [[likely]] {
      scale = V::set1(scales[place]);
      if (shifts != nullptr) shift = V::set1(shifts[place]);
      return;
    }
    scale = V::set1(number_at(table.scales, table.scale_type, place));
    if (table.shifts != nullptr) shift = V::set1(number_at(table.shifts, table.scale_type, place));
    if (table.zero_points != nullptr) zero = V::set1(static_cast<float>(raised + zero_point(place)));
  }
  DG_INLINE void prefetch(int64_t id) const {
    const uintptr_t behind = static_cast<uintptr_t>(id * step) * (table.scale_type == DType::f32 ? 4 : 2);
    DG_PREFETCH(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(scales) + behind));
    if (shifts != nullptr) {
      DG_PREFETCH(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(shifts) + behind));
    }
  }

 private:
  DG_INLINE int zero_point(int64_t place) const {
    if (table.zero_points_signed) return static_cast<const int8_t*>(table.zero_points)[place];
    return static_cast<const uint8_t*>(table.zero_points)[place];
  }
};

template <class C>
struct ScaledRow {
  using T = float;
  using V = Simd<float>;
  using vec = V::vec;
  static constexpr int bits = C::bits;
  struct Shared : Scales {
    int64_t column;
    vec least;
    DG_INLINE Shared(const BagTable& of, int64_t from)
        : Scales(of, of.raised), column(from), least(V::set1(static_cast<float>(of.raised))) {}
  };
  C codes;
  vec zero, scale, shift;

  DG_INLINE ScaledRow(const Shared& shared, const unsigned char* at, int64_t id)
      : codes(shared.table, at, shared.column), zero(shared.least) {
    shared.read(id, zero, scale, shift);
  }
  // The difference of whole numbers is exact; a shift of +0 changes no product but the sign of a zero.
  DG_INLINE vec load(int behind) const { return V::fma(difference(codes.load(behind), zero), scale, shift); }
  DG_INLINE vec load_n(int behind, int n) const {
    return V::fma(difference(codes.load_n(behind, n), zero), scale, shift);
  }
};

#if DG_ISA_AVX512
// Packed integers have no more values than a vector has lanes: those of a row are computed once, and looked
// up. A look-up minds 4 bits of an index, so the bits above need no mask; 2-bit integers have theirs four
// times.
template <int Bits>
struct PackedRow {
  using T = float;
  using V = Simd<float>;
  using vec = V::vec;
  static constexpr int bits = Bits;
  struct Shared : Scales {
    vec numbers;
    __m512i low_bit, half;
    DG_INLINE Shared(const BagTable& of, int64_t) : Scales(of, 0) {
      const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
      const __m512i code = _mm512_and_si512(lane, _mm512_set1_epi32((1 << Bits) - 1));
      const __m512i sign = _mm512_set1_epi32(of.raised);
      numbers = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_xor_si512(code, sign), sign));
      low_bit = _mm512_and_si512(_mm512_mullo_epi32(lane, _mm512_set1_epi32(Bits)), _mm512_set1_epi32(31));
      half = _mm512_srli_epi32(lane, Bits == 4 ? 3 : 4);
    }
  };
  const Shared& shared;
  const unsigned char* row;
  vec values;

  DG_INLINE PackedRow(const Shared& with, const unsigned char* at, int64_t id) : shared(with), row(at) {
    vec zero = V::zero(), scale, shift;
    shared.read(id, zero, scale, shift);
    values = V::fma(difference(shared.numbers, zero), scale, shift);
  }
  DG_INLINE vec load(int behind) const {
    uint64_t packed = 0;
    memcpy(&packed, row + behind * Bits / 8, 2 * Bits);
    return looked_up(packed);
  }
  DG_INLINE vec load_n(int behind, int n) const {
    if (n == V::width) return load(behind);
    uint64_t packed = 0;
    const unsigned char* from = row + behind * Bits / 8;
    for (int i = 0; i < (n * Bits + 7) / 8; ++i) packed |= static_cast<uint64_t>(from[i]) << (8 * i);
    return looked_up(packed);
  }

 private:
  DG_INLINE vec looked_up(uint64_t packed) const {
    const __m512i words = _mm512_castsi128_si512(_mm_cvtsi64_si128(static_cast<long long>(packed)));
    const __m512i spread = _mm512_permutexvar_epi32(shared.half, words);
    return _mm512_permutexvar_ps(_mm512_srlv_epi32(spread, shared.low_bit), values);
  }
};
#else
template <int Bits>
using PackedRow = ScaledRow<Packed<Bits> >;
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
