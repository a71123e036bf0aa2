#include "core/gemm.h"

#include "core/gemm_blocked.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

constexpr std::int64_t kRoundedPerTask = 1 << 14;

// A result that is stored narrower than the chain's dtype.
Status multiply_rounded(const GemmRequest& request, const DenseView& a, const DenseView& b,
                        const PackedMatrix* packed, const DenseView& c) {
  const GemmTypes& types = request.types;
  const FoundKernel round =
      find_kernel(KernelId::gemm_round, types.out, IndexType::i32, request.kernels.block.isa);
  const GemmStrips strips(c, packed != nullptr);
  const Workspace memory(static_cast<std::size_t>(strips.rows * strips.cols * bytes_of(types.chain)));
  if (memory.data() == nullptr) return Status::no_memory;
  for (std::int64_t col = 0; col < c.cols; col += strips.cols) {
    const std::int64_t n = std::min(strips.cols, c.cols - col);
    const DenseView right =
        packed != nullptr ? DenseView{} : window(b, 0, b.rows, col, n, bytes_of(types.right));
    for (std::int64_t row = 0; row < c.rows; row += strips.rows) {
      const std::int64_t m = std::min(strips.rows, c.rows - row);
      const DenseView strip{memory.data(), m, n, n, 1};
      const Status status = multiply_blocked(request, window(a, row, m, 0, a.cols, bytes_of(types.left)),
                                             right, {packed, 0, col}, strip);
      if (status != Status::ok) return status;
      const GemmRoundArgs args{strip, window(c, row, m, col, n, bytes_of(types.out))};
      const std::int64_t tasks = std::min(parallel::task_count(request.threads, m * n, kRoundedPerTask), m);
      parallel::run(request.threads, tasks, [&](std::int64_t task, int thread) {
        round.run(&args, m * task / tasks, m * (task + 1) / tasks, thread, nullptr);
      });
    }
  }
  return Status::ok;
}

Status dispatch(const GemmRequest& request, const DenseView& a, const DenseView& b,
                const PackedMatrix* packed, DenseView c) {
  if (c.cols == 1) c.col_stride = 1;
  if (request.types.out == request.types.chain) return multiply_blocked(request, a, b, {packed}, c);
  return multiply_rounded(request, a, b, packed, c);
}

}  // namespace

Status gemm(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types, Isa highest,
            int threads, bool swap_roles) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const Isa isa = gemm_isa(types.chain, highest);
  if (better_transposed(c, a.cols, gemm_blocking(isa, types.chain).lanes)) {
    const GemmTypes turned = types.transposed();
    return dispatch({turned, GemmKernels(turned, isa), threads, !swap_roles}, b.transposed(), a.transposed(),
                    nullptr, c.transposed());
  }
  return dispatch({types, GemmKernels(types, isa), threads, swap_roles}, a, b, nullptr, c);
}

Status gemm(const DenseView& a, const PackedMatrix& b, const DenseView& c, const GemmTypes& types,
            int threads, bool swap_roles) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  return dispatch({types, GemmKernels(types, b.isa()), threads, swap_roles}, a, {}, &b, c);
}

std::size_t prepacked_bytes(std::int64_t rows, std::int64_t cols, DType dtype, Isa highest) {
  const std::int64_t panel = gemm_blocking(gemm_isa(dtype, highest), dtype).panel;
  return static_cast<std::size_t>(rows * ((cols + panel - 1) / panel * panel)) * size_of(dtype);
}

Status prepack_right(const DenseView& b, DType stored, DType chain, Isa highest, int threads,
                     PackedMatrix& packed) {
  const GemmKernels kernels({stored, stored, chain, chain}, highest);
  if (!packed.memory_.resize(prepacked_bytes(b.rows, b.cols, chain, highest))) return Status::no_memory;
  packed.rows_ = b.rows;
  packed.cols_ = b.cols;
  packed.dtype_ = chain;
  packed.isa_ = kernels.block.isa;
  if (b.rows > 0 && b.cols > 0) pack_panels(kernels, b, chain, threads, packed.memory_.data());
  return Status::ok;
}

Isa gemm_isa(DType dtype, Isa highest) {
  return find_kernel(KernelId::gemm_block, dtype, IndexType::i32, highest).isa;
}

}  // namespace deepgemm
