// Products of two sparse matrices: computed in pieces whose sizes need not be known before.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

#include "core/sparse_rows.h"
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
Status bound_spgemm(const CompressedView& a, const SparseRows& b, int threads, SpgemmBounds& bounds);
// The same `most` for each row of A.
void bound_spgemm_rows(const CompressedView& a, const SparseRows& b, int threads, std::int64_t* most);

// Where the result goes: indices of `type` hold the entries and the columns.
struct SparseParts {
  void* indptr = nullptr;
  void* indices = nullptr;
  void* values = nullptr;
  IndexType type = IndexType::i32;
};

// C = A B, both in compressed canonical rows of one dtype and index type.
class SparseProduct {
 public:
  virtual ~SparseProduct() = default;
  virtual std::int64_t rows() const = 0;
  virtual std::int64_t room() const = 0;  // entries that compute() may write
  virtual Isa isa() const = 0;
  // Computes C into arrays with that room, which is often far more than is touched, or, if there are none,
  // into memory of its own, from where deliver() takes it to arrays of exactly entries().
  virtual Status compute(const SparseParts& result) = 0;
  virtual std::int64_t entries() const = 0;
  virtual void deliver(const SparseParts& result) = 0;
};

// Looks at the operands and cuts the work. Null `product` with Status::ok means that no kernel serves the
// dtype.
Status prepare_sparse(const CompressedView& a, const SparseRows& b, const SpgemmOptions& options,
                      std::unique_ptr<SparseProduct>& product);

}  // namespace deepgemm
