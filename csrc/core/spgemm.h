// Products of two sparse matrices: computed in pieces whose sizes need not be known, then delivered at once.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "core/types.h"

namespace deepgemm {

struct SpgemmOptions {
  Isa highest = Isa::scalar;
  int threads = 1;
  bool select = false;  // keep the `most` largest entries of each row, by rank, instead of all by column
  std::int64_t most = 0;
  bool has_threshold = false;
  double threshold = 0.0;       // with select: keep only what is larger; a value that the dtype holds
  std::int64_t most_bytes = 0;  // give up (Status::over_budget) once entries take more; 0 is no limit
};

// What is known of C = A B before it is computed.
struct SpgemmBounds {
  std::int64_t work = 0;   // multiply-adds
  std::int64_t least = 0;  // entries of C: at least the longest row of B that each row meets,
  std::int64_t most = 0;   // at most its multiply-adds, or all columns
};
Status bound_spgemm(const CompressedView& a, const CompressedView& b, int threads, SpgemmBounds& bounds);
// The same `most` for each row of A.
void bound_spgemm_rows(const CompressedView& a, const CompressedView& b, int threads, std::int64_t* most);

// C = A B, both in compressed canonical rows of one dtype and index type.
class SparseResult {
 public:
  virtual ~SparseResult() = default;
  virtual std::int64_t entries() const = 0;
  virtual std::int64_t rows() const = 0;
  virtual Isa isa() const = 0;
  // Writes C to arrays of that size; indices of `type` must hold entries() and the columns. Once only.
  virtual void deliver(void* indptr, void* indices, void* values, IndexType type, int threads) = 0;
};

// Null `result` with Status::ok means that no kernel serves the dtype.
Status multiply_sparse(const CompressedView& a, const CompressedView& b, const SpgemmOptions& options,
                       std::unique_ptr<SparseResult>& result);

}  // namespace deepgemm
