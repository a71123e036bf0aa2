// Columns of four entries that follow each other, loaded at once and cut out when they are wanted.
#pragma once

#include <stdint.h>
#include <string.h>

#include "kernels/common-inl.h"

namespace deepgemm::DG_ISA {
namespace {

template <class I>
struct Columns {
  static constexpr int kInWord = 8 / sizeof(I);
  static constexpr int kBits = 8 * sizeof(I);
  uint64_t words[4 / kInWord];

  DG_INLINE void load(const I* from) { memcpy(words, from, sizeof words); }
  DG_INLINE int64_t get(int i) const {
    return static_cast<int64_t>(words[i / kInWord] >> (i % kInWord * kBits) & ((uint64_t{1} << kBits) - 1));
  }
};

}  // namespace
}  // namespace deepgemm::DG_ISA
