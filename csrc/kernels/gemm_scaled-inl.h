// Panels of a right operand that is quantised: each element is widened, shifted and scaled on its way, so
// that no float32 copy of the operand is ever in memory.
//
// Counts for a vector of 16 elements: 16 bytes (8 of 4-bit ones) are read, 64 written into the caches; one
// load that widens, a subtraction where there are zero points, a multiplication, a store.
#pragma once

#include "core/gemm_args.h"
#include "kernels/common-inl.h"
#include "simd/arith.h"
#include "simd/storage.h"

namespace deepgemm::DG_ISA {
namespace {

constexpr int64_t kScaledLanes = Simd<float>::width;
constexpr int64_t kScaledPanel = 2 * kScaledLanes;
// Rows of all panels of a strip that are packed before the next ones, so that the lines of B that two panels
// share are in L1 for the second one.
constexpr int64_t kScaledRows = 64;

// Some rows and up to a panel of columns of the operand, the elements of a row side by side.
template <class S>
struct CodeRows {
  const S* first;
  int64_t stride;
};

// Elements of one byte, where they stand if columns are adjacent.
template <class S>
struct Bytes {
  using stored = S;
  static CodeRows<S> rows(const GemmScaling& b, int64_t row, int64_t rows, int64_t col, int64_t cols,
                          S* buffer) {
    const S* from = static_cast<const S*>(b.data.data) + row * b.data.row_stride + col * b.data.col_stride;
    if (b.data.col_stride == 1) return {from, b.data.row_stride};
    const int64_t row_stride = b.data.row_stride, col_stride = b.data.col_stride;
    for (int64_t j = 0; j < cols; ++j) {
      for (int64_t k = 0; k < rows; ++k) buffer[k * kScaledPanel + j] = from[k * row_stride + j * col_stride];
    }
    return {buffer, kScaledPanel};
  }
};

// Elements of 4 bits, two columns in a byte, the even one in its low half.
struct Halves {
  using stored = int8_t;
  static CodeRows<int8_t> rows(const GemmScaling& b, int64_t row, int64_t rows, int64_t col, int64_t cols,
                               int8_t* buffer) {
    const uint8_t* from =
        static_cast<const uint8_t*>(b.data.data) + row * b.data.row_stride + col / 2 * b.data.col_stride;
    const int64_t row_stride = b.data.row_stride, step = b.data.col_stride, bytes = (cols + 1) / 2;
    // Of signed ones the sign is bit 3: turning it over and taking it off extends it.
    const int sign = b.is_signed ? 8 : 0;
    for (int64_t k = 0; k < rows; ++k, from += row_stride) {
      int8_t* to = buffer + k * kScaledPanel;
      for (int64_t i = 0; i < bytes; ++i) {
        const int both = from[i * step];
        to[2 * i] = static_cast<int8_t>(((both & 15) ^ sign) - sign);
        to[2 * i + 1] = static_cast<int8_t>((both >> 4 ^ sign) - sign);
      }
    }
    return {buffer, kScaledPanel};
  }
};

DG_INLINE Simd<float>::vec load_of_columns(const float* values, int64_t col, int64_t col_stride, int n) {
  return col_stride == 0 ? Simd<float>::set1(*values) : Simd<float>::load_n(values + col, n);
}

// Rows [0, rows) of one panel; row 0 is that of `row` in the operand.
template <class S, bool Shifted>
DG_INLINE void scale_rows(const GemmScaling& b, const CodeRows<S>& codes, int64_t row, int64_t rows,
                          int64_t col, int64_t cols, float* to) {
  using V = Simd<float>;
  using vec = V::vec;
  constexpr int64_t W = kScaledLanes;
  const int n[2] = {static_cast<int>(min64(cols, W)), static_cast<int>(cols > W ? cols - W : 0)};
  const bool whole = cols == kScaledPanel;
  for (int64_t k = 0; k < rows;) {
    const int64_t group = (row + k) / b.group, end = min64(rows, (group + 1) * b.group - row);
    vec scale[2], zero[2];
    for (int v = 0; v < 2; ++v) {
      scale[v] = load_of_columns(b.scales + group * b.scale_row, col + v * W, b.scale_col, n[v]);
      if constexpr (Shifted) {
        zero[v] = load_of_columns(b.zeros + group * b.scale_row, col + v * W, b.scale_col, n[v]);
      }
    }
    for (; k < end; ++k) {
      const S* from = codes.first + k * codes.stride;
      for (int v = 0; v < 2; ++v) {
        vec x = whole ? Storage<float, S>::load(from + v * W) : Storage<float, S>::load_n(from + v * W, n[v]);
        if constexpr (Shifted) x = difference(x, zero[v]);
        V::store(to + k * kScaledPanel + v * W, product(x, scale[v]));
      }
    }
  }
}

template <class Codes>
void gemm_pack_scaled(const void* raw, int64_t begin, int64_t end, int, void*) {
  using S = typename Codes::stored;
  constexpr int64_t P = kScaledPanel;
  const GemmPackArgs& args = *static_cast<const GemmPackArgs*>(raw);
  const GemmScaling& b = *args.scaling;
  S buffer[kScaledRows * P];
  for (int64_t strip = begin; strip < end; strip += args.strip_panels) {
    const int64_t last = min64(strip + args.strip_panels, end);
    for (int64_t k = 0; k < args.depth; k += kScaledRows) {
      const int64_t rows = min64(kScaledRows, args.depth - k), row = args.row + k;
      for (int64_t p = strip; p < last; ++p) {
        const int64_t cols = min64(P, args.across - p * P), col = args.col + p * P;
        float* const to = static_cast<float*>(args.packed) + p * P * args.depth + k * P;
        const CodeRows<S> codes = Codes::rows(b, row, rows, col, cols, buffer);
        if (b.zeros != nullptr) {
          scale_rows<S, true>(b, codes, row, rows, col, cols, to);
        } else {
          scale_rows<S, false>(b, codes, row, rows, col, cols, to);
        }
      }
    }
  }
}

}  // namespace
}  // namespace deepgemm::DG_ISA
