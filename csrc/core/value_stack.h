// Products of sparse matrices that share one structure, each with values of its own.
#pragma once

#include "core/kernel_table.h"
#include "core/stack.h"

namespace deepgemm {

struct ValueStack {
  CompressedView lines;             // the structure, in compressed rows; its own values are not read
  Stack values;                     // for each member one row, whose elements are adjacent
  const void* positions = nullptr;  // value q of a member is at positions[q] of its row; null: at q
};

// y.at(b) = S(b) × x.at(b), where S(b) has the structure and the b-th values. The three stacks have the
// same axes. `id` and `sparse_is_left` as for make_csr_product; the dtype is that of `lines`.
Status run_values(KernelId id, const ValueStack& s, bool sparse_is_left, Isa highest, const Stack& x,
                  const Stack& y, int threads);

}  // namespace deepgemm
