// What the sparse × sparse kernels are told, as plain data, and the memory that each thread lends them.
#pragma once

#include <cstdint>

namespace deepgemm {

// Rows [begin, end) of C = A B, both in compressed rows with one index type. csr_csr keeps all entries of
// a row, by column; csr_csr_top keeps the `most` largest, by rank.
struct SpgemmArgs {
  const void* a_indptr;
  const void* a_indices;
  const void* a_values;
  const void* b_begin;  // where each row of B begins and ends: two views of one indptr, or part of each row
  const void* b_end;
  const void* b_indices;
  const void* b_values;
  std::int64_t columns;       // no index of B reaches it
  std::int64_t hash_below;    // rows of fewer multiply-adds are hashed if their columns lie far apart, the
                              // others summed in place
  const std::int64_t* work;   // multiply-adds before each row of A, and behind the last
  std::int64_t* row_entries;  // written: entries of each row of C
  std::int64_t most;          // csr_csr_top: how many entries a row may keep
  double threshold;           // csr_csr_top: only larger values are kept, if has_threshold
  bool has_threshold;
};

// Rows [begin, end) of C = A B in dense rows: csr_csr_dense. Nothing is lent.
struct SpgemmDenseArgs {
  SpgemmArgs sparse;  // operands only
  void* out;
  std::int64_t out_stride;    // elements between rows
  std::int64_t first_column;  // columns [first_column, last_column) are written; no entry of B is elsewhere
  std::int64_t last_column;
};

// Columns that one byte of `groups` and one scanned line of `marks` stand for.
constexpr int kMarkedLine = 64;

// `sums`, `marks`, `groups` and `table` are zero before and after each call of a kernel.
struct SpgemmWorkspace {
  void* sums;            // `columns` accumulators, rounded up to whole lines
  std::uint8_t* marks;   // 1 where the row has an entry
  std::uint8_t* groups;  // 1 where a line of `marks` is not empty; rounded up to whole lines too
  void* table;           // hash table: a power of two of HashSlot
  std::uint64_t* order;  // four words for each entry of the longest hashed row
  void* met;             // csr_csr_top: columns of the longest summed row as they are met, and one more
  void* best;            // csr_csr_top: min(most, longest row) of Ranked
  void* columns;         // where the entries go; room for those of all rows and kPieceSlack more
  void* values;
  std::int64_t entries;  // written: how many there are
};

// Vectors of results are stored in full.
constexpr std::int64_t kPieceSlack = 16;

template <class V>
struct HashSlot {
  std::int64_t key;  // column + 1; 0 is empty
  V sum;
};

template <class V>
struct Ranked {
  V value;
  std::int64_t column;
};

}  // namespace deepgemm
