// What kernels of embedding bags are told, as plain data.
#pragma once

#include <cstdint>

#include "core/types.h"

namespace deepgemm {

// Rows of a table, anywhere in memory. A quantised row stands for fma(q - zero point, scale, shift) with one
// of each for the row, or one for all rows where `scale_step` is 0; null is 0 for zero points and shifts.
struct BagTable {
  const unsigned char* rows;
  std::int64_t row_bytes;  // from one row to the next; may be negative
  std::int64_t count;
  const void* scales;  // null: the rows are plain numbers
  const void* shifts;  // of the same type
  const void* zero_points;
  DType scale_type;         // f32, f16 or bf16
  bool zero_points_signed;  // int8, else uint8
  std::int64_t scale_step;
  // Packed integers that are signed become unsigned as (bits ^ flipped), which are greater by `raised`.
  std::uint8_t flipped;
  std::int32_t raised;
};

// What becomes of an id that is no row. `refuse` reports it, and leaves it out as `zero` does.
enum class OutOfRange : std::uint8_t { refuse, zero, clip };

// Kernels do the bags [begin, end). Bag i is the ids from offsets[i] on, as many as lengths[i] says, or up to
// offsets[i + 1] where `lengths` is null.
struct BagArgs {
  BagTable table;
  const void* ids;
  std::int64_t id_count;
  bool wide_ids;  // int64, else int32
  const void* offsets;
  const void* lengths;
  bool wide;             // offsets and lengths are int64, else int32
  const void* weights;   // one for each id, of the chain's dtype; null for ones
  std::int64_t padding;  // rows of this id are left out; -1 for none
  OutOfRange out_of_range;
  bool mean;
  std::int64_t column, columns;  // which part of a row
  unsigned char* out;            // that of bag 0, column 0
  std::int64_t out_bytes;        // from one bag to the next
  DType out_type;                // of the chain, f16 or bf16
};

// What a kernel has found; each thread's task gets its own as workspace.
struct BagFault {
  std::int64_t position = -1;  // of the first id that is no row, or past the ids where a bag reaches there
};

enum class Optimiser : std::uint8_t { sgd, adagrad, rowwise_adagrad };

// Kernels do the rows [begin, end) of those named: row rows[i] of the table gets bag i of `gradients`, which
// is summed into the thread's workspace of `columns` numbers and read from there.
struct BagUpdateArgs {
  BagArgs gradients;  // its table are the gradients of the bags, of the chain's dtype
  const std::int64_t* rows;
  unsigned char* table;
  std::int64_t table_bytes;  // from one row to the next
  unsigned char* state;      // of the chain's dtype; a number for each row with rowwise_adagrad
  std::int64_t state_bytes;
  double rate, epsilon;
  Optimiser optimiser;
};

}  // namespace deepgemm
