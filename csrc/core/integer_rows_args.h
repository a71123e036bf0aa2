// What the kernels for a few rows of 8-bit integers are told, as plain data.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

constexpr int kMostIntegerRows = 4;
// Rows of A are filled up with zeros to a multiple of so many bytes.
constexpr std::int64_t kIntegerFill = 64;

// vpdpbusd multiplies unsigned by signed bytes. Unsigned rows meet B as signed bytes, signed ones meet it as
// unsigned bytes; a B of the other kind has its sign bits turned over as it is read.
struct IntegerRowsArgs {
  const std::uint8_t* a;  // contiguous rows
  std::int64_t a_stride;
  int rows;
  bool rows_signed;
  std::uint8_t flip;  // bits of each byte of B that are turned over
  DenseView b;
  std::int32_t* sums;  // of each row and column; rows have room for a multiple of kIntegerFill
  std::int64_t sums_stride;
};

// integer_streams adds up rows [begin, end) of B, whose columns are adjacent; both are multiples of 16, but
// for the last row of B. integer_dots does columns [begin, end) of B, whose rows are adjacent.

}  // namespace deepgemm
