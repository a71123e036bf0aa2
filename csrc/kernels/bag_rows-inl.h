// Rows of embedding tables as vectors of the chain's numbers: widened, unpacked and scaled in registers.
//
// A vector of 16 elements costs one load and one conversion for plain rows; scaled ones add a subtraction and
// a multiply-add, and packed ones four operations on bytes.
#pragma once

#include "core/bag_args.h"
#include "kernels/common-inl.h"
#include "simd/arith.h"
#include "simd/reduce.h"
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

// Results begin where the columns of a pass do.
template <class T>
struct WholeVectors {
  static constexpr bool in_lines = false;
  DG_INLINE static void store(T* to, int behind, typename Simd<T>::vec x) { Simd<T>::store(to + behind, x); }
};

// Rows are read from a column on; what is read lies so many elements behind it, a number known to the
// compiler.
template <class S>
struct PlainRow {
  using T = typename ChainOf<S>::type;
  using vec = typename Simd<T>::vec;
  static constexpr int bits = 8 * sizeof(S);
  struct Shared : WholeVectors<T> {  // what rows have in common
    DG_INLINE Shared(const BagArgs&, int64_t) {}
    DG_INLINE void prefetch(int64_t) const {}
  };
  const S* row;

  DG_INLINE PlainRow(const Shared&, const unsigned char* at, int64_t) : row(reinterpret_cast<const S*>(at)) {}
  DG_INLINE vec load(int behind) const { return Storage<T, S>::load(row + behind); }
  DG_INLINE vec load_n(int behind, int n) const { return Storage<T, S>::load_n(row + behind, n); }
  DG_INLINE static vec in_order(vec x) { return x; }
};

#if DG_ISA_AVX512
// Lanes of a line that are of a row, and zeros.
DG_INLINE __m512 load_lanes(const float* line, unsigned lanes) {
  return _mm512_maskz_load_ps(static_cast<__mmask16>(lanes), line);
}
DG_INLINE __m512d load_lanes(const double* line, unsigned lanes) {
  return _mm512_maskz_load_pd(static_cast<__mmask8>(lanes), line);
}
DG_INLINE void store_lanes(float* to, __m512 x, unsigned lanes) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>(lanes), x);
}
DG_INLINE void store_lanes(double* to, __m512d x, unsigned lanes) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>(lanes), x);
}

// Rows that all begin at the same place within a cache line, read line by line: each line has a chain for
// each of its elements, those before the row in the first one and behind it in the last being zeros that are
// not stored. A vector that lies across two lines is two reads. 41,000 rows of 64 floats took 112
// microseconds that way and 97 by lines, where NumPy's tables begin 16 bytes into one; two rows a turn are
// part of that.
template <class E>
struct LineRow {
  using T = E;
  using V = Simd<T>;
  using vec = typename V::vec;
  static constexpr int bits = 8 * sizeof(T);
  struct Shared {
    static constexpr bool in_lines = true;
    unsigned front;  // elements of the first line that are of the row

    DG_INLINE Shared(const BagArgs& args, int64_t column) : front(~0u << (args.column - column)) {}
    DG_INLINE void prefetch(int64_t) const {}
    DG_INLINE void store(T* to, int behind, vec x) const {
      behind == 0 ? store_lanes(to, x, front) : V::store(to + behind, x);
    }
  };
  const T* row;
  unsigned front;

  DG_INLINE LineRow(const Shared& shared, const unsigned char* at, int64_t)
      : row(reinterpret_cast<const T*>(at)), front(shared.front) {}
  DG_INLINE vec load(int behind) const {
    return behind == 0 ? load_lanes(row, front) : V::load(row + behind);
  }
  DG_INLINE vec load_n(int behind, int n) const { return V::load_n(row + behind, n); }
  DG_INLINE static vec in_order(vec x) { return x; }
};
#endif

// Integers of a byte each.
template <class S>
struct Codes {
  static constexpr int bits = 8;
  static constexpr bool may_be_raised = false;
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
  static constexpr bool may_be_raised = true;
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

// Addresses as integers: an id that is no row must not make a pointer.
DG_INLINE void prefetch_behind(const void* base, uintptr_t bytes) {
  DG_PREFETCH(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(base) + bytes));
}

// The scale, shift and zero point of each row. What is `Common` has scales of float32 and no zero points.
template <bool Common>
struct Scales;

template <>
struct Scales<true> {
  using V = Simd<float>;
  int64_t step;
  const float *scales, *shifts;

  DG_INLINE explicit Scales(const BagTable& of)
      : step(of.scale_step),
        scales(static_cast<const float*>(of.scales)),
        shifts(static_cast<const float*>(of.shifts)) {}

  DG_INLINE void read(int64_t id, V::vec& scale, V::vec& shift) const {
    scale = V::set1(scales[id * step]);
    shift = V::zero();
    if (shifts != nullptr) [[unlikely]] {
      shift = V::set1(shifts[id * step]);
    }
  }
  DG_INLINE V::vec zero_point(int64_t, V::vec least) const { return least; }
  DG_INLINE void prefetch(int64_t id) const {
    const uintptr_t behind = static_cast<uintptr_t>(id * step) * sizeof(float);
    prefetch_behind(scales, behind);
    if (shifts != nullptr) [[unlikely]] {
      prefetch_behind(shifts, behind);
    }
  }
};

template <>
struct Scales<false> {
  using V = Simd<float>;
  const BagTable& table;

  DG_INLINE explicit Scales(const BagTable& of) : table(of) {}

  DG_INLINE void read(int64_t id, V::vec& scale, V::vec& shift) const {
    const int64_t place = id * table.scale_step;
    scale = V::set1(number_at(table.scales, table.scale_type, place));
    shift = table.shifts == nullptr ? V::zero() : V::set1(number_at(table.shifts, table.scale_type, place));
  }
  DG_INLINE V::vec zero_point(int64_t id, V::vec least) const {
    if (table.zero_points == nullptr) return least;
    const int64_t place = id * table.scale_step;
    const int zero = table.zero_points_signed ? static_cast<const int8_t*>(table.zero_points)[place]
                                              : static_cast<const uint8_t*>(table.zero_points)[place];
    return sum(least, V::set1(static_cast<float>(zero)));
  }
  DG_INLINE void prefetch(int64_t id) const {
    const uintptr_t place = static_cast<uintptr_t>(id * table.scale_step);
    const uintptr_t behind = place * (table.scale_type == DType::f32 ? 4 : 2);
    prefetch_behind(table.scales, behind);
    if (table.shifts != nullptr) prefetch_behind(table.shifts, behind);
    if (table.zero_points != nullptr) prefetch_behind(table.zero_points, place);
  }
};

template <class C, bool Common>
struct ScaledRow {
  using T = float;
  using V = Simd<float>;
  using vec = V::vec;
  static constexpr int bits = C::bits;
  static constexpr bool has_zero = C::may_be_raised || !Common;
  struct Shared : Scales<Common>, WholeVectors<T> {
    const BagTable& table;
    int64_t column;
    vec least;
    DG_INLINE Shared(const BagArgs& args, int64_t from)
        : Scales<Common>(args.table),
          table(args.table),
          column(from),
          least(V::set1(static_cast<float>(args.table.raised))) {}
  };
  C codes;
  vec zero, scale, shift;

  DG_INLINE ScaledRow(const Shared& shared, const unsigned char* at, int64_t id)
      : codes(shared.table, at, shared.column) {
    if constexpr (has_zero) zero = shared.zero_point(id, shared.least);
    shared.read(id, scale, shift);
  }
  DG_INLINE vec load(int behind) const { return number(codes.load(behind)); }
  DG_INLINE vec load_n(int behind, int n) const { return number(codes.load_n(behind, n)); }
  DG_INLINE static vec in_order(vec x) { return x; }

 private:
  // The difference of whole numbers is exact; a shift of +0 changes no product but the sign of a zero.
  DG_INLINE vec number(vec code) const {
    if constexpr (has_zero) code = difference(code, zero);
    return V::fma(code, scale, shift);
  }
};

#if DG_ISA_AVX512
// Packed integers have no more values than a vector has lanes: those of a row are computed once, and looked
// up. A look-up minds 4 bits of an index, so the bits above need no mask; 2-bit integers have theirs four
// times. The integers of a vector are 8 bytes, or 4, which a load repeats in all lanes: a lane shifts to one
// of the 8 that its half of the 8 bytes has, so even lanes have the first 8 elements and odd ones the others.
// Results are put in order, once for each bag; to order each vector takes an instruction more.
template <int Bits, bool Common>
struct PackedRow {
  using T = float;
  using V = Simd<float>;
  using vec = V::vec;
  static constexpr int bits = Bits;
  struct Shared : Scales<Common>, WholeVectors<T> {
    vec numbers;
    __m512i low_bit;
    DG_INLINE Shared(const BagArgs& args, int64_t) : Scales<Common>(args.table) {
      const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
      const __m512i code = _mm512_and_si512(lane, _mm512_set1_epi32((1 << Bits) - 1));
      const __m512i sign = _mm512_set1_epi32(args.table.raised);
      numbers = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_xor_si512(code, sign), sign));
      low_bit = _mm512_slli_epi32(Bits == 4 ? _mm512_srli_epi32(lane, 1) : lane, Bits / 2);
    }
  };
  const unsigned char* row;
  __m512i low_bit;
  vec values;

  DG_INLINE PackedRow(const Shared& shared, const unsigned char* at, int64_t id)
      : row(at), low_bit(shared.low_bit) {
    vec scale, shift;
    shared.read(id, scale, shift);
    values = V::fma(difference(shared.numbers, shared.zero_point(id, V::zero())), scale, shift);
  }
  DG_INLINE vec load(int behind) const {
    int64_t packed = 0;
    memcpy(&packed, row + behind * Bits / 8, 2 * Bits);
    if constexpr (Bits == 4) return looked_up(_mm512_set1_epi64(packed));
    return looked_up(_mm512_set1_epi32(static_cast<int32_t>(packed)));
  }
  DG_INLINE vec load_n(int behind, int n) const {
    const __mmask16 whole = V::first((n * Bits + 7) / 8);
    const __m128i packed = _mm_maskz_loadu_epi8(whole, row + behind * Bits / 8);
    return looked_up(Bits == 4 ? _mm512_broadcastq_epi64(packed) : _mm512_broadcastd_epi32(packed));
  }
  DG_INLINE static vec in_order(vec x) {
    if constexpr (Bits == 2) return x;
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15), x);
  }

 private:
  DG_INLINE vec looked_up(__m512i codes) const {
    return _mm512_permutexvar_ps(_mm512_srlv_epi32(codes, low_bit), values);
  }
};
#else
template <int Bits, bool Common>
using PackedRow = ScaledRow<Packed<Bits>, Common>;
#endif

// How tables store their rows. A row that is common does without what most tables have not: zero points, and
// scales that are narrower than float32.
template <class S>
struct Plain {
  static constexpr bool are_plain = true;
  template <bool Common>
  using Row = PlainRow<S>;
};
template <class C>
struct Scaled {
  static constexpr bool are_plain = false;
  template <bool Common>
  using Row = ScaledRow<C, Common>;
};
template <int Bits>
struct PackedIntegers {
  static constexpr bool are_plain = false;
  template <bool Common>
  using Row = PackedRow<Bits, Common>;
};

}  // namespace
}  // namespace deepgemm::DG_ISA
