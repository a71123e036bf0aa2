#include "core/scale.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/partition.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kEntriesPerTask = 1 << 14;  // some microseconds

template <Scaling Op, class V, class W, class Out>
inline Out scaled(V value, W weight) {
  using Wide = decltype(value * weight);
  const Wide v = value, w = weight;
  return static_cast<Out>(Op == Scaling::multiply ? v * w : v / w);
}

// Counts: one value read and one written for each entry; by index also the index and a weight from anywhere.
template <Scaling Op, class V, class W, class Out, class I>
void scale_entries(const CompressedView& a, WeightOf weight_of, const W* weights, std::int64_t begin,
                   std::int64_t end, Out* out) {
  const V* values = static_cast<const V*>(a.values);
  if (weight_of == WeightOf::index) {
    const I* indices = static_cast<const I*>(a.indices);
    for (std::int64_t p = begin; p < end; ++p) out[p] = scaled<Op, V, W, Out>(values[p], weights[indices[p]]);
    return;
  }
  const I* indptr = static_cast<const I*>(a.indptr);
  std::int64_t line = std::upper_bound(indptr, indptr + a.major, begin) - indptr - 1;
  for (std::int64_t p = begin; p < end; ++line) {
    const std::int64_t stop = std::min<std::int64_t>(indptr[line + 1], end);
    const W weight = weights[line];
    for (; p < stop; ++p) out[p] = scaled<Op, V, W, Out>(values[p], weight);
  }
}

template <Scaling Op, class V, class W, class Out>
bool run(const CompressedView& a, WeightOf weight_of, const void* weights, int threads, void* out) {
  const std::int64_t tasks = parallel::task_count(threads, a.nnz, kEntriesPerTask);
  const auto share = [&](std::int64_t task) {  // whole lines of memory, so that no two threads write to one
    return task == tasks ? a.nnz : a.nnz / tasks * task / 16 * 16;
  };
  parallel::run(threads, tasks, [&](std::int64_t task, int) {
    const std::int64_t begin = share(task), end = share(task + 1);
    if (begin >= end) return;
    if (a.index_type == IndexType::i32) {
      scale_entries<Op, V, W, Out, std::int32_t>(a, weight_of, static_cast<const W*>(weights), begin, end,
                                                 static_cast<Out*>(out));
    } else {
      scale_entries<Op, V, W, Out, std::int64_t>(a, weight_of, static_cast<const W*>(weights), begin, end,
                                                 static_cast<Out*>(out));
    }
  });
  return true;
}

}  // namespace

bool scale(const CompressedView& a, WeightOf weight_of, Scaling op, const void* weights, DType weight_dtype,
           DType out_dtype, int threads, void* out) {
  const auto is = [&](DType value, DType weight, DType result) {
    return a.dtype == value && weight_dtype == weight && out_dtype == result;
  };
  if (op == Scaling::multiply) {
    constexpr Scaling kOp = Scaling::multiply;
    if (is(DType::f32, DType::f32, DType::f32))
      return run<kOp, float, float, float>(a, weight_of, weights, threads, out);
    if (is(DType::f32, DType::f64, DType::f64))
      return run<kOp, float, double, double>(a, weight_of, weights, threads, out);
    if (is(DType::f64, DType::f64, DType::f64))
      return run<kOp, double, double, double>(a, weight_of, weights, threads, out);
    return false;
  }
  constexpr Scaling kOp = Scaling::divide;
  if (is(DType::f32, DType::f64, DType::f32))
    return run<kOp, float, double, float>(a, weight_of, weights, threads, out);
  if (is(DType::f64, DType::f64, DType::f64))
    return run<kOp, double, double, double>(a, weight_of, weights, threads, out);
  return false;
}

}  // namespace deepgemm
