// Sums, and what is made of sums, along compressed lines or across them.
#pragma once

#include "core/types.h"

namespace deepgemm {

// What the entries contribute, and that it is summed; of the last one the largest is taken, nan if there is
// one.
enum class Reduction : std::uint8_t { sum, sum_of_magnitudes, sum_of_squares, sum_of_deviations, largest };

// One result for each line, from its entries; or one for each index, from all lines.
enum class Direction : std::uint8_t { along, across };

// In which order the entries of one result are added: in one ascending chain, or in 16 chains, lane =
// position among these entries mod 16, which the tree l + 8, l + 4, l + 2, l + 1 joins
// (deepgemm.stated.reductions).
enum class Order : std::uint8_t { chain, lanes };

enum class Number : std::uint8_t { i32, i64, f32, f64, c64, c128 };

struct ReduceJob {
  Reduction reduction = Reduction::sum;
  Direction direction = Direction::along;
  Order order = Order::lanes;
  Number stored = Number::f32;
  Number accumulator = Number::f32;
  // For sum_of_deviations, the squares of (value - center): one center for each result, or one for all.
  const double* center = nullptr;
  bool one_center = false;
  // For sum_of_deviations across lines, where given: how many entries each result is made of.
  std::int64_t* counts = nullptr;
};

// Writes `a.major` results (along) or `a.minor` (across) of the accumulator type. Lines must be canonical;
// integers wrap. Sums take i32 or i64 to i64, f32 to f32 or f64, and the others to themselves; the other
// reductions take f32 or f64 to f64. False in `known` for anything else.
// O(lines + entries). Chains across lines are one thread's work, see reduce.cpp.
Status reduce(const CompressedView& a, const ReduceJob& job, int threads, void* out, bool& known);

// One result of all `count` values: runs of 2^14 of them in lanes, each like a line, and then their results.
// `job` says which reduction of which types; a deviation has one center.
Status reduce_all(const void* values, std::int64_t count, ReduceJob job, int threads, void* out, bool& known);

}  // namespace deepgemm
