// The words shared by every layer of the core: dtypes, ISAs and views of memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace deepgemm {

// The four of the arithmetic, those that are only stored, the sums of 8-bit integers, and integers that are
// packed into bytes, the first of a row in the lowest bits.
enum class DType : std::uint8_t { f32, f64, c64, c128, f16, bf16, f8e4m3, f8e5m2, i8, u8, i32, i64, u4, u2 };
enum class IndexType : std::uint8_t { i32, i64 };

// From the most portable to the best within one architecture; the order is that of kernel look-up.
enum class Isa : std::uint8_t { scalar, avx2, avx512, neon, sve, rvv };

constexpr std::size_t size_of(DType t) {
  switch (t) {
    case DType::c128:
      return 16;
    case DType::f64:
    case DType::c64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f16:
    case DType::bf16:
      return 2;
    default:
      return 1;
  }
}
constexpr std::size_t size_of(IndexType t) { return t == IndexType::i32 ? 4 : 8; }
constexpr bool is_complex(DType t) { return t == DType::c64 || t == DType::c128; }

// A dense matrix anywhere in memory; strides count elements and may be zero or negative.
struct DenseView {
  void* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;
  std::int64_t col_stride = 0;

  DenseView transposed() const { return {data, cols, rows, col_stride, row_stride}; }
};

// Compressed rows (or columns: the reader's choice). Canonical: indices strictly increase in a row.
struct CompressedView {
  const void* indptr = nullptr;
  const void* indices = nullptr;
  const void* values = nullptr;
  std::int64_t major = 0;  // rows of CSR, columns of CSC
  std::int64_t minor = 0;
  std::int64_t nnz = 0;
  IndexType index_type = IndexType::i32;
  DType dtype = DType::f32;
};

// What a kernel or a product says when it cannot do its work; nothing in the core throws.
enum class Status : std::uint8_t { ok, no_memory, over_budget };

inline std::int64_t index_at(const void* array, IndexType type, std::int64_t position) {
  return type == IndexType::i32 ? static_cast<const std::int32_t*>(array)[position]
                                : static_cast<const std::int64_t*>(array)[position];
}

}  // namespace deepgemm
