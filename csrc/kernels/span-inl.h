// Where a segment lies in the rows of a ragged operand.
#pragma once

#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

struct Span {
  int64_t begin, length;
};

// Of arguments that have `offsets`, `lengths` (null where segments follow each other) and `wide`.
template <class Args>
DG_INLINE Span span_of(const Args& args, int64_t segment) {
  if (args.wide) {
    const int64_t* offsets = static_cast<const int64_t*>(args.offsets);
    const int64_t begin = offsets[segment];
    if (args.lengths != nullptr) return {begin, static_cast<const int64_t*>(args.lengths)[segment]};
    return {begin, offsets[segment + 1] - begin};
  }
  const int32_t* offsets = static_cast<const int32_t*>(args.offsets);
  const int64_t begin = offsets[segment];
  if (args.lengths != nullptr) return {begin, static_cast<const int32_t*>(args.lengths)[segment]};
  return {begin, offsets[segment + 1] - begin};
}

}  // namespace
}  // namespace deepgemm::DG_ISA
