#include "core/reduce.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "core/partition.h"
#include "core/reduce_terms.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

using namespace reduce_terms;

constexpr std::int64_t kEntriesPerTask = 1 << 14;  // some microseconds

double center_of(const ReduceJob& job, std::int64_t result) {
  return job.center == nullptr ? 0.0 : job.center[job.one_center ? 0 : result];
}

template <class Op, bool InLanes>
void one_by_one(const CompressedView& a, const ReduceJob& job, std::int64_t begin, std::int64_t end,
                typename Op::Acc* out) {
  const auto* values = static_cast<const typename Op::Stored*>(a.values);
  std::int64_t p = index_at(a.indptr, a.index_type, begin);
  for (std::int64_t line = begin; line < end; ++line) {
    const std::int64_t next = index_at(a.indptr, a.index_type, line + 1);
    const double center = center_of(job, line);
    out[line] = InLanes ? in_lanes<Op>(values + p, next - p, a.nnz - p, center)
                        : in_chain<Op>({}, values + p, next - p, center);
    p = next;
  }
}

// Entries of a line, on average, from which on eight chains side by side beat one after the other: at 690 a
// line they take 0.14 ns an entry against 0.5, at 30 and less 0.79 against 0.69, because short chains overlap
// anyway.
constexpr std::int64_t kLongLine = 64;

template <class Op>
void chains_side_by_side(const CompressedView& a, const ReduceJob& job, std::int64_t begin, std::int64_t end,
                         typename Op::Acc* out) {
  const auto* values = static_cast<const typename Op::Stored*>(a.values);
  std::int64_t at = begin, p = index_at(a.indptr, a.index_type, begin);
  const auto next_line = [&](typename SideBySide<Op>::Line& line) {
    for (; at < end; ++at) {
      const std::int64_t from = p;
      p = index_at(a.indptr, a.index_type, at + 1);
      if (p > from) {
        line = {values + from, p - from, at, center_of(job, at)};
        ++at;
        return true;
      }
      out[at] = {};
    }
    return false;
  };
  SideBySide<Op>::run(next_line, [&](std::int64_t line, typename Op::Acc sum) { out[line] = sum; });
}

// Counts: each value is read once, in lanes by vectors; the indices are not read.
template <class Op>
void reduce_along(const CompressedView& a, const ReduceJob& job, int threads, typename Op::Acc* out) {
  const bool side_by_side = job.order == Order::chain && a.nnz >= kLongLine * a.major;
  // The last lines of a task are not eight any more, so there are few tasks.
  const std::int64_t most = side_by_side ? 2 * threads : a.major;
  const std::int64_t tasks =
      std::clamp<std::int64_t>(parallel::task_count(threads, work_before(a, a.major), kEntriesPerTask), 1,
                               std::max<std::int64_t>(most, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t begin = first_row(a, task, tasks), end = first_row(a, task + 1, tasks);
    if (job.order == Order::lanes) {
      one_by_one<Op, true>(a, job, begin, end, out);
    } else if (side_by_side) {
      chains_side_by_side<Op>(a, job, begin, end, out);
    } else {
      one_by_one<Op, false>(a, job, begin, end, out);
    }
  });
}

// Calls body(position) for the entries of a line, begin to end, whose index is in [low, high). Indices
// ascend, so a range that touches one end of the line needs no search: its entries are met first, or last.
template <class I, class Body>
void each_in_range(const I* indices, std::int64_t begin, std::int64_t end, std::int64_t low,
                   std::int64_t high, std::int64_t minor, const Body& body) {
  if (low > 0 && high == minor) {
    // From the end: the entries of one line go to different results, so that their order does not matter.
    while (end > begin && indices[end - 1] >= low) body(--end);
    return;
  }
  if (low > 0) begin = std::lower_bound(indices + begin, indices + end, low) - indices;
  for (; begin < end && indices[begin] < high; ++begin) body(begin);
}

// One thread runs through all entries without regard for lines, at 0.4 ns an entry. Two threads, each with
// half of the results, find the end of their part of each line by a mispredicted branch and took longer at
// every length of lines that was tried (at 69 entries a line 0.55 ns, at 151 0.4 to 0.8), with the parts
// known beforehand hardly less; filtering into a buffer without branches cost 0.6. Counts: index and value of
// each entry once, and a result anywhere.
template <class Op, class I, bool Counts>
void chains_across(const CompressedView& a, const ReduceJob& job, typename Op::Acc* out) {
  const auto* values = static_cast<const typename Op::Stored*>(a.values);
  const I* indices = static_cast<const I*>(a.indices);
  parallel::run(1, 1, [&](std::int64_t, int) {  // for the pool's care of the floating-point environment
    std::fill(out, out + a.minor, typename Op::Acc{});
    if constexpr (Counts) std::fill(job.counts, job.counts + a.minor, std::int64_t{0});
    for (std::int64_t p = 0; p < a.nnz; ++p) {
      const I i = indices[p];
      out[i] = Op::join(out[i], Op::term(values[p], center_of(job, i)));
      if constexpr (Counts) ++job.counts[i];
    }
  });
}

// The same in 16 lanes for each result. Results are done a block at a time, so that their lanes stay in
// cache; threads share out the blocks.
template <class Op, class I, bool Counts>
Status lanes_across(const CompressedView& a, const ReduceJob& job, int threads, typename Op::Acc* out) {
  using Acc = typename Op::Acc;
  const auto* values = static_cast<const typename Op::Stored*>(a.values);
  const I* indptr = static_cast<const I*>(a.indptr);
  const I* indices = static_cast<const I*>(a.indices);
  // A block's lanes take half of L2, or more where finding the beginning of the block in each line would
  // otherwise cost more than adding, but never more than 256 MB.
  constexpr std::int64_t kResultBytes = kLanes * static_cast<std::int64_t>(sizeof(Acc));
  constexpr std::int64_t kLeastBlock = (1 << 19) / kResultBytes, kMostBlock = (1 << 28) / kResultBytes;
  const double searches =
      8.0 * static_cast<double>(a.major) / static_cast<double>(std::max<std::int64_t>(a.nnz, 1));
  const double wanted = std::min(searches * static_cast<double>(a.minor), static_cast<double>(kMostBlock));
  const std::int64_t block = std::min(std::max(static_cast<std::int64_t>(wanted), kLeastBlock), a.minor);
  if (block == 0) return Status::ok;
  const std::int64_t tasks = (a.minor + block - 1) / block;
  if (parallel::task_count(threads, a.nnz, kEntriesPerTask) == 1) threads = 1;
  threads = static_cast<int>(std::min<std::int64_t>(threads, tasks));
  const std::size_t lane_bytes = static_cast<std::size_t>(block) * kLanes * sizeof(Acc);
  const std::size_t bytes = lane_bytes + (static_cast<std::size_t>(block) + 63) / 64 * 64;
  const Workspace memory(bytes * static_cast<std::size_t>(threads));
  if (memory.data() == nullptr) return Status::no_memory;
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    char* mine = static_cast<char*>(memory.data()) + static_cast<std::size_t>(thread) * bytes;
    auto* lanes = reinterpret_cast<Acc(*)[kLanes]>(mine);
    auto* seen = reinterpret_cast<std::uint8_t*>(mine + lane_bytes);  // mod 256, which 16 divides
    const std::int64_t low = task * block, high = std::min(low + block, a.minor);
    std::memset(mine, 0, bytes);
    if constexpr (Counts) std::fill(job.counts + low, job.counts + high, std::int64_t{0});
    const auto add = [&](std::int64_t p) {
      const std::int64_t i = indices[p] - low;
      Acc& lane = lanes[i][seen[i]++ % kLanes];
      lane = Op::join(lane, Op::term(values[p], center_of(job, indices[p])));
      if constexpr (Counts) ++job.counts[indices[p]];
    };
    for (std::int64_t line = 0; line < a.major; ++line) {
      each_in_range(indices, indptr[line], indptr[line + 1], low, high, a.minor, add);
    }
    for (std::int64_t i = 0; i < high - low; ++i) out[low + i] = tree<Op, kLanes>(lanes[i]);
  });
  return Status::ok;
}

template <class Op, class I, bool Counts>
Status reduce_across(const CompressedView& a, const ReduceJob& job, int threads, void* out) {
  auto* results = static_cast<typename Op::Acc*>(out);
  if (job.order == Order::lanes) return lanes_across<Op, I, Counts>(a, job, threads, results);
  chains_across<Op, I, Counts>(a, job, results);
  return Status::ok;
}

template <class Op, bool Counts = false>
Status run(const CompressedView& a, const ReduceJob& job, int threads, void* out) {
  if (job.direction == Direction::along) {
    reduce_along<Op>(a, job, threads, static_cast<typename Op::Acc*>(out));
    return Status::ok;
  }
  return a.index_type == IndexType::i32 ? reduce_across<Op, std::int32_t, Counts>(a, job, threads, out)
                                        : reduce_across<Op, std::int64_t, Counts>(a, job, threads, out);
}

template <class S>
Status run_of_reals(const CompressedView& a, const ReduceJob& job, int threads, void* out, bool& known) {
  switch (job.reduction) {
    case Reduction::sum_of_magnitudes:
      return run<SumOfMagnitudes<S>>(a, job, threads, out);
    case Reduction::sum_of_squares:
      return run<SumOfSquares<S>>(a, job, threads, out);
    case Reduction::sum_of_deviations:
      return job.counts != nullptr ? run<SumOfDeviations<S>, true>(a, job, threads, out)
                                   : run<SumOfDeviations<S>>(a, job, threads, out);
    case Reduction::largest:
      return run<Largest<S>>(a, job, threads, out);
    case Reduction::sum:
      break;
  }
  known = false;
  return Status::ok;
}

Status run_sum(const CompressedView& a, const ReduceJob& job, int threads, void* out, bool& known) {
  const auto is = [&](Number stored, Number accumulator) {
    return job.stored == stored && job.accumulator == accumulator;
  };
  // Unsigned, so that sums wrap; a signed value becomes the unsigned one of the same bits.
  if (is(Number::i32, Number::i64)) return run<Sum<std::int32_t, std::uint64_t>>(a, job, threads, out);
  if (is(Number::i64, Number::i64)) return run<Sum<std::int64_t, std::uint64_t>>(a, job, threads, out);
  if (is(Number::f32, Number::f32)) return run<Sum<float, float>>(a, job, threads, out);
  if (is(Number::f32, Number::f64)) return run<Sum<float, double>>(a, job, threads, out);
  if (is(Number::f64, Number::f64)) return run<Sum<double, double>>(a, job, threads, out);
  if (is(Number::c64, Number::c64)) return run<Sum<Complex<float>, Complex<float>>>(a, job, threads, out);
  if (is(Number::c128, Number::c128)) return run<Sum<Complex<double>, Complex<double>>>(a, job, threads, out);
  known = false;
  return Status::ok;
}

}  // namespace

Status reduce(const CompressedView& a, const ReduceJob& job, int threads, void* out, bool& known) {
  known = true;
  if (job.reduction == Reduction::sum) return run_sum(a, job, threads, out, known);
  if (job.accumulator != Number::f64) known = false;
  if (known && job.stored == Number::f32) return run_of_reals<float>(a, job, threads, out, known);
  if (known && job.stored == Number::f64) return run_of_reals<double>(a, job, threads, out, known);
  known = false;
  return Status::ok;
}

Status reduce_all(const void* values, std::int64_t count, ReduceJob job, int threads, void* out,
                  bool& known) {
  constexpr std::int64_t kRun = 1 << 14;
  constexpr std::size_t kLargest = 16;  // bytes of a complex number
  CompressedView runs;
  runs.major = (count + kRun - 1) / kRun;
  runs.nnz = count;
  runs.values = values;
  runs.index_type = IndexType::i64;
  const std::size_t starts_bytes = static_cast<std::size_t>(runs.major + 1) * kLargest;
  const Workspace memory(starts_bytes + static_cast<std::size_t>(runs.major) * kLargest);
  if (memory.data() == nullptr) return Status::no_memory;
  auto* starts = static_cast<std::int64_t*>(memory.data());
  for (std::int64_t r = 0; r <= runs.major; ++r) starts[r] = std::min(r * kRun, count);
  runs.indptr = starts;
  void* results = static_cast<char*>(memory.data()) + starts_bytes;
  job.direction = Direction::along;
  job.order = Order::lanes;
  const Status status = reduce(runs, job, threads, results, known);
  if (status != Status::ok || !known) return status;

  const std::int64_t ends[2] = {0, runs.major};
  CompressedView last;
  last.indptr = ends;
  last.index_type = IndexType::i64;
  last.values = results;
  last.major = 1;
  last.nnz = runs.major;
  ReduceJob sum;
  sum.stored = sum.accumulator = job.accumulator;
  return reduce(last, sum, 1, out, known);
}

}  // namespace deepgemm
