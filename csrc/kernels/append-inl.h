// Where the entries of a sparse product go if all of them are kept: one after the other, row by row.
#pragma once

#include "core/spgemm_args.h"
#include "kernels/common-inl.h"
#include "simd/marks.h"

namespace deepgemm::DG_ISA {
namespace {

template <class V, class I, bool Real>
class Append {
 public:
  static constexpr bool ordered = true;

  Append(const SpgemmArgs&, SpgemmWorkspace& memory)
      : columns_(static_cast<I*>(memory.columns)), values_(static_cast<V*>(memory.values)), memory_(memory) {}

  // Notes the marked columns of a line; their sums are fetched by `fetch` once the row is through. A line of
  // few marks costs no mispredicted branch in this way: a few columns are written whether they exist or not.
  DG_INLINE void note_line(uint64_t mask, int64_t column) {
    I* to = columns_ + written_;
    const int count = count_bits(mask);
    for (int i = 0; i < kNotedAtOnce; ++i, mask &= mask - 1) {
      to[i] = static_cast<I>(column + lowest_bit(mask | kTopBit));
    }
    for (int i = kNotedAtOnce; i < count; ++i, mask &= mask - 1) {
      to[i] = static_cast<I>(column + lowest_bit(mask));
    }
    written_ += count;
  }
  DG_INLINE void fetch(V* sums) {
    for (int64_t e = opened_; e < written_; ++e) {
      const int64_t column = columns_[e];
      values_[e] = sums[column];
      sums[column] = V{};
    }
  }

  DG_INLINE void take(int64_t column, V value) {
    columns_[written_] = static_cast<I>(column);
    values_[written_++] = value;
  }

  DG_INLINE void take_line(uint64_t mask, int64_t column, V* sums) {
    if constexpr (Real && Packer<V, I>::lanes > 0) {
      using P = Packer<V, I>;
      // A vector without marks is packed too: skipping it would be mispredicted more often than it pays.
      if (count_bits(mask) > kWorthPacking) {
        for (int lane = 0; lane < 64; lane += P::lanes) {
          const uint32_t part = static_cast<uint32_t>(mask >> lane) & ((1u << P::lanes) - 1);
          P::pack(part, sums + lane, column + lane, columns_ + written_, values_ + written_);
          P::clear(sums + lane);
          written_ += count_bits(part);
        }
        return;
      }
    }
    for (; mask != 0; mask &= mask - 1) {
      const int bit = lowest_bit(mask);
      take(column + bit, sums[bit]);
      sums[bit] = V{};
    }
  }

  int64_t close_row() {
    const int64_t entries = written_ - opened_;
    opened_ = written_;
    return entries;
  }
  void finish() { memory_.entries = written_; }

 private:
  // Packing a line takes about as long as so many single entries and the mispredicted end of their loop.
  // With 6 here, and vectors without marks skipped, 1000 x 1000 at 1 % took 1.2 times as long (float32).
  static constexpr int kWorthPacking = sizeof(V) == 4 ? 2 : 5;
  static constexpr int kNotedAtOnce = 4;  // within kPieceSlack
  static constexpr uint64_t kTopBit = uint64_t{1} << 63;
  I* columns_;
  V* values_;
  SpgemmWorkspace& memory_;
  int64_t written_ = 0, opened_ = 0;
};

}  // namespace
}  // namespace deepgemm::DG_ISA
