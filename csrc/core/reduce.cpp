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

// Counts: each value is read once, with vectors in lanes; the indices are not read.
template <class Op>
void reduce_along(const CompressedView& a, const ReduceJob& job, int threads, typename Op::Acc* out) {
  const auto* values = static_cast<const typename Op::Stored*>(a.values);
  const std::int64_t tasks = std::min(parallel::task_count(threads, work_before(a, a.major), kEntriesPerTask),
                                      std::max<std::int64_t>(a.major, 1));
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t end = first_row(a, task + 1, tasks);
    std::int64_t line = first_row(a, task, tasks);
    std::int64_t p = index_at(a.indptr, a.index_type, line);
    for (; line < end; ++line) {
      const std::int64_t next = index_at(a.indptr, a.index_type, line + 1);
      const double center = center_of(job, line);
      out[line] = job.order == Order::lanes ? in_lanes<Op>(values + p, next - p, a.nnz - p, center)
                                            : in_chain<Op>(values + p, next - p, center);
      p = next;
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

// The index below which `share` of the entries lie, by a sample.
template <class I>
std::int64_t index_below(const CompressedView& a, const I* sorted_sample, std::int64_t size, double share) {
  if (share >= 1.0) return a.minor;
  return size > 0 ? sorted_sample[static_cast<std::int64_t>(share * static_cast<double>(size))]
                  : static_cast<std::int64_t>(share * static_cast<double>(a.minor));
}

// Counts: each thread reads indptr and, of its own entries, index and value, and updates a result anywhere in
// its range: the results of one thread should stay in its cache. Each thread walking over all entries and
// testing whose they are would read the indices once for each thread.
template <class Op, class I, bool Counts>
void chains_across(const CompressedView& a, const ReduceJob& job, int threads, typename Op::Acc* out) {
  const auto* values = static_cast<const typename Op::Stored*>(a.values);
  const I* indptr = static_cast<const I*>(a.indptr);
  const I* indices = static_cast<const I*>(a.indices);
  constexpr std::int64_t kSample = 1024;
  I sample[kSample];
  const std::int64_t size = std::min(kSample, a.nnz);
  for (std::int64_t s = 0; s < size; ++s) {
    sample[s] = indices[static_cast<std::int64_t>(static_cast<double>(s) / static_cast<double>(size) *
                                                  static_cast<double>(a.nnz))];
  }
  std::sort(sample, sample + size);
  const std::int64_t tasks = std::min<std::int64_t>(
      threads, parallel::task_count(threads, a.nnz + a.minor + a.major, 2 * kEntriesPerTask));
  const auto bound = [&](std::int64_t task) {
    return task == 0 ? std::int64_t{0}
                     : index_below(a, sample, size, static_cast<double>(task) / static_cast<double>(tasks));
  };
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t low = bound(task), high = bound(task + 1);
    std::fill(out + low, out + high, typename Op::Acc{});
    if constexpr (Counts) std::fill(job.counts + low, job.counts + high, std::int64_t{0});
    if (low == high) return;
    const auto add = [&](std::int64_t p) {
      const I i = indices[p];
      out[i] = Op::join(out[i], Op::term(values[p], center_of(job, i)));
      if constexpr (Counts) ++job.counts[i];
    };
    if (tasks == 1) {
      for (std::int64_t p = 0; p < a.nnz; ++p) add(p);
      return;
    }
    for (std::int64_t line = 0; line < a.major; ++line) {
      each_in_range(indices, indptr[line], indptr[line + 1], low, high, a.minor, add);
    }
  });
}

// The same in 16 lanes for each result. Results are done a block at a time, so that their lanes stay in
// cache.
template <class Op, class I, bool Counts>
Status lanes_across(const CompressedView& a, const ReduceJob& job, int threads, typename Op::Acc* out) {
  using Acc = typename Op::Acc;
  const auto* values = static_cast<const typename Op::Stored*>(a.values);
  const I* indptr = static_cast<const I*>(a.indptr);
  const I* indices = static_cast<const I*>(a.indices);
  // A block is at least as large as half of L2, and so large that finding where it begins in each line costs
  // less than adding.
  constexpr std::int64_t kLeastBlock = (1 << 19) / (kLanes * static_cast<std::int64_t>(sizeof(Acc)));
  const double searches =
      8.0 * static_cast<double>(a.major) / static_cast<double>(std::max<std::int64_t>(a.nnz, 1));
  const std::int64_t block = std::clamp(static_cast<std::int64_t>(searches * static_cast<double>(a.minor)),
                                        std::min(kLeastBlock, a.minor), a.minor);
  if (block == 0) return Status::ok;
  const std::int64_t tasks = (a.minor + block - 1) / block;
  if (parallel::task_count(threads, a.nnz, kEntriesPerTask) == 1) threads = 1;
  threads = static_cast<int>(std::min<std::int64_t>(threads, tasks));
  const std::size_t lane_bytes = static_cast<std::size_t>(block) * kLanes * sizeof(Acc);
  const std::size_t bytes = lane_bytes + static_cast<std::size_t>(block) * sizeof(std::int64_t);
  const Workspace memory(bytes * static_cast<std::size_t>(threads));
  if (memory.data() == nullptr) return Status::no_memory;
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    char* mine = static_cast<char*>(memory.data()) + static_cast<std::size_t>(thread) * bytes;
    auto* lanes = reinterpret_cast<Acc(*)[kLanes]>(mine);
    auto* seen = reinterpret_cast<std::int64_t*>(mine + lane_bytes);
    const std::int64_t low = task * block, high = std::min(low + block, a.minor);
    std::memset(mine, 0, bytes);
    const auto add = [&](std::int64_t p) {
      const std::int64_t i = indices[p] - low;
      Acc& lane = lanes[i][seen[i]++ % kLanes];
      lane = Op::join(lane, Op::term(values[p], center_of(job, indices[p])));
    };
    for (std::int64_t line = 0; line < a.major; ++line) {
      each_in_range(indices, indptr[line], indptr[line + 1], low, high, a.minor, add);
    }
    for (std::int64_t i = 0; i < high - low; ++i) {
      out[low + i] = tree<Op>(lanes[i]);
      if constexpr (Counts) job.counts[low + i] = seen[i];
    }
  });
  return Status::ok;
}

template <class Op, class I, bool Counts>
Status reduce_across(const CompressedView& a, const ReduceJob& job, int threads, void* out) {
  auto* results = static_cast<typename Op::Acc*>(out);
  if (job.order == Order::lanes) return lanes_across<Op, I, Counts>(a, job, threads, results);
  chains_across<Op, I, Counts>(a, job, threads, results);
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

}  // namespace deepgemm
