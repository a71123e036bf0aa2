#include "core/gemm.h"

#include "core/cpu.h"
#include "core/gemm_blocked.h"
#include "core/gemm_small.h"
#include "core/gemm_thin.h"
#include "core/parallel.h"
#include "core/workspace.h"

namespace deepgemm {
namespace {

KernelFn epilogue_of(DType out, Isa isa) {
  return find_kernel(KernelId::epilogue, out, IndexType::i32, isa).run;
}

// A result that is stored narrower than the chain's dtype.
Status multiply_rounded(const GemmRequest& request, const DenseView& a, const DenseView& b,
                        const PackedMatrix* packed, const DenseView& c, const Epilogue& terms,
                        std::int64_t elements) {
  const GemmTypes& types = request.types;
  const std::int64_t size = bytes_of(types.chain), out_size = bytes_of(types.out);
  const KernelFn epilogue = epilogue_of(types.out, request.kernels.block.isa);
  const GemmStrips strips(c, packed != nullptr);
  const Workspace memory(static_cast<std::size_t>(strips.rows * strips.cols * size));
  if (memory.data() == nullptr) return Status::no_memory;
  for (std::int64_t col = 0; col < c.cols; col += strips.cols) {
    const std::int64_t n = std::min(strips.cols, c.cols - col);
    const DenseView right =
        packed != nullptr ? DenseView{} : window(b, 0, b.rows, col, n, bytes_of(types.right));
    for (std::int64_t row = 0; row < c.rows; row += strips.rows) {
      const std::int64_t m = std::min(strips.rows, c.rows - row);
      const DenseView strip{memory.data(), m, n, n, 1};
      const GemmEnding ending{epilogue, window(c, row, m, col, n, out_size), out_size,
                              terms.from(row, col, size)};
      const Status status = multiply_blocked(request, window(a, row, m, 0, a.cols, bytes_of(types.left)),
                                             right, {packed, 0, col}, strip, elements, &ending);
      if (status != Status::ok) return status;
    }
  }
  return Status::ok;
}

Status dispatch(const GemmRequest& request, const DenseView& a, const DenseView& b,
                const PackedMatrix* packed, DenseView c, const Epilogue& terms, std::int64_t elements = 0) {
  if (c.cols == 1) c.col_stride = 1;
  const DType out = request.types.out;
  if (out != request.types.chain) return multiply_rounded(request, a, b, packed, c, terms, elements);
  if (terms.empty()) return multiply_blocked(request, a, b, {packed}, c, elements);
  const GemmEnding ending{epilogue_of(out, request.kernels.block.isa), c, bytes_of(out), terms};
  return multiply_blocked(request, a, b, {packed}, c, elements, &ending);
}

GemmKernels scaled_kernels(const GemmScaling& b, const GemmTypes& types, Isa highest) {
  GemmKernels kernels(types, highest);
  const DType numbers = b.nibbles ? DType::u4 : types.right;
  kernels.pack_right = find_kernel(KernelId::gemm_pack_scaled, numbers, IndexType::i32, kernels.block.isa);
  return kernels;
}

// Pairs along k count as one element of packed operands.
DenseView paired_right(const DenseView& b) {
  return {b.data, (b.rows + 1) / 2, b.cols, 2 * b.row_stride, b.col_stride};
}

DenseView paired_left(const DenseView& a) { return paired_right(a.transposed()).transposed(); }

GemmKernels pair_kernels(DType stored, Isa highest) {
  const auto block = stored == DType::f16 ? KernelId::gemm_block_halves : KernelId::gemm_block_pairs;
  GemmKernels kernels({stored, stored, DType::f32, DType::f32}, highest, block);
  kernels.pack_left = find_kernel(KernelId::gemm_pair_left, stored, IndexType::i32, kernels.block.isa);
  kernels.pack_right = find_kernel(KernelId::gemm_pair_right, stored, IndexType::i32, kernels.block.isa);
  return kernels;
}

GemmRequest pair_request(const GemmTypes& types, Isa highest, int threads, std::int32_t* overflowed) {
  GemmRequest request{types, pair_kernels(types.left, highest), threads, false};
  if (types.left == DType::f16) request.depth_step = kHalfChain;
  request.overflowed = overflowed;
  return request;
}

std::int64_t bytes_along(const DenseView& a) { return a.cols * bytes_of(DType::bf16); }

Status run_small(const SmallProducts& small, const DenseView& c, const GemmTypes& types,
                 const Epilogue& terms, Isa isa, int threads) {
  const Status status = small.run(threads);
  if (status == Status::ok && !terms.empty()) finish(c, c, types, terms, isa, threads);
  return status;
}

}  // namespace

Status gemm(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types, Isa highest,
            int threads, bool swap_roles, const Epilogue& terms) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const SmallProducts small(a, b, c, types, highest);
  if (small.serves() && (terms.empty() || types.out == types.chain)) {
    return run_small(small, c, types, terms, highest, threads);
  }
  const ThinProduct thin(a, b, c, types, highest);
  if (thin.serves()) return thin.run(terms, threads);
  const Isa isa = gemm_isa(types.chain, highest);
  if (better_transposed(c, a.cols, gemm_blocking(isa, types.chain).lanes)) {
    const GemmTypes turned = types.transposed();
    return dispatch({turned, GemmKernels(turned, isa), threads, !swap_roles}, b.transposed(), a.transposed(),
                    nullptr, c.transposed(), terms.transposed());
  }
  return dispatch({types, GemmKernels(types, isa), threads, swap_roles}, a, b, nullptr, c, terms);
}

Status gemm(const DenseView& a, const PackedMatrix& b, const DenseView& c, const GemmTypes& types,
            int threads, bool swap_roles, const Epilogue& terms) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const std::int64_t panel = gemm_blocking(b.isa(), types.chain).panel;
  if (b.cols() <= panel) {  // rows of one panel are rows of a matrix
    const DenseView rows{const_cast<void*>(b.data()), b.rows(), b.cols(), panel, 1};
    const SmallProducts small(a, rows, c, types, b.isa());
    if (small.serves()) return run_small(small, c, types, terms, b.isa(), threads);
  }
  return dispatch({types, GemmKernels(types, b.isa()), threads, swap_roles}, a, {}, &b, c, terms);
}

Status gemm_scaled(const DenseView& a, const GemmScaling& b, std::int64_t cols, const DenseView& c,
                   const GemmTypes& types, Isa highest, int threads, const Epilogue& terms) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  GemmRequest request{types, scaled_kernels(b, types, highest), threads, false};
  request.scaling = &b;
  return dispatch(request, a, {b.data.data, b.data.rows, cols, b.data.row_stride, b.data.col_stride}, nullptr,
                  c, terms);
}

Status prepack_scaled(const GemmScaling& b, std::int64_t cols, DType stored, Isa highest, int threads,
                      PackedMatrix& packed) {
  const GemmKernels kernels = scaled_kernels(b, {stored, stored, DType::f32, DType::f32}, highest);
  const std::int64_t rows = b.data.rows;
  if (!packed.memory_.resize(prepacked_bytes(rows, cols, DType::f32, highest))) return Status::no_memory;
  packed.rows_ = rows;
  packed.cols_ = cols;
  packed.dtype_ = DType::f32;
  packed.isa_ = kernels.block.isa;
  const DenseView whole{b.data.data, rows, cols, b.data.row_stride, b.data.col_stride};
  if (rows > 0 && cols > 0) pack_panels(kernels, whole, DType::f32, threads, packed.memory_.data(), 0, &b);
  return Status::ok;
}

bool serves_pairs(DType stored, Isa highest) {
  if (highest < Isa::avx512 || pair_kernels(stored, highest).block.run == nullptr) return false;
  return cpu::has(stored == DType::f16 ? "fp16" : "bf16");
}

Status gemm_pairs(const DenseView& a, const DenseView& b, const DenseView& c, const GemmTypes& types,
                  Isa highest, int threads, const Epilogue& terms, std::int32_t* overflowed) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const GemmRequest request = pair_request(types, highest, threads, overflowed);
  if (better_transposed(c, a.cols / 2, gemm_blocking(request.kernels.block.isa, DType::f32).lanes)) {
    return dispatch(request, paired_left(b.transposed()), paired_right(a.transposed()), nullptr,
                    c.transposed(), terms.transposed(), bytes_along(a));
  }
  return dispatch(request, paired_left(a), paired_right(b), nullptr, c, terms, bytes_along(a));
}

Status gemm_pairs(const DenseView& a, const PackedMatrix& b, const DenseView& c, const GemmTypes& types,
                  int threads, const Epilogue& terms, std::int32_t* overflowed) {
  if (c.rows == 0 || c.cols == 0) return Status::ok;
  const GemmRequest request = pair_request(types, b.isa(), threads, overflowed);
  return dispatch(request, paired_left(a), {}, &b, c, terms, bytes_along(a));
}

Status prepack_pairs(const DenseView& b, DType stored, Isa highest, int threads, PackedMatrix& packed) {
  const GemmKernels kernels = pair_kernels(stored, highest);
  const DenseView pairs = paired_right(b);
  if (!packed.memory_.resize(prepacked_bytes(pairs.rows, b.cols, DType::f32, highest))) {
    return Status::no_memory;
  }
  packed.rows_ = pairs.rows;
  packed.cols_ = b.cols;
  packed.dtype_ = stored;
  packed.isa_ = kernels.block.isa;
  if (b.rows > 0 && b.cols > 0) {
    pack_panels(kernels, pairs, DType::f32, threads, packed.memory_.data(), bytes_along(b.transposed()));
  }
  return Status::ok;
}

void unpack_pairs(const PackedMatrix& packed, const DenseView& to, int threads) {
  const std::int64_t panel = gemm_blocking(packed.isa(), DType::f32).panel;
  parallel::run(threads, ceil_div(packed.cols(), panel), [&](std::int64_t p, int) {
    const auto* words = static_cast<const std::uint32_t*>(packed.data()) + p * panel * packed.rows();
    const std::int64_t columns = std::min(panel, packed.cols() - p * panel);
    for (std::int64_t k = 0; k < to.rows; ++k) {
      auto* row = static_cast<std::uint16_t*>(to.data) + k * to.row_stride + p * panel;
      const std::uint32_t* from = words + k / 2 * panel;
      const int shift = k % 2 == 0 ? 0 : 16;
      for (std::int64_t j = 0; j < columns; ++j) row[j] = static_cast<std::uint16_t>(from[j] >> shift);
    }
  });
}

void finish(const DenseView& from, const DenseView& to, const GemmTypes& types, const Epilogue& terms,
            Isa highest, int threads) {
  constexpr std::int64_t kElementsPerTask = 1 << 14;
  // Lanes run along rows: those of a column, or of columns whose elements are adjacent, along it.
  if (to.rows > 1 && (to.cols == 1 || (to.row_stride == 1 && to.col_stride != 1))) {
    return finish(from.transposed(), to.transposed(), types, terms.transposed(), highest, threads);
  }
  const FoundKernel epilogue = find_kernel(KernelId::epilogue, types.out, IndexType::i32, highest);
  const std::int64_t wanted = parallel::task_count(threads, to.rows * to.cols, kElementsPerTask);
  const bool by_rows = to.rows >= to.cols;
  const std::int64_t extent = by_rows ? to.rows : to.cols, tasks = std::min(wanted, extent);
  const std::int64_t size = bytes_of(types.chain);
  parallel::run(threads, tasks, [&](std::int64_t task, int thread) {
    const std::int64_t begin = extent * task / tasks, end = extent * (task + 1) / tasks;
    if (by_rows) {
      const EpilogueArgs args{from, to, terms};
      return epilogue.run(&args, begin, end, thread, nullptr);
    }
    const EpilogueArgs args{window(from, 0, to.rows, begin, end - begin, size),
                            window(to, 0, to.rows, begin, end - begin, bytes_of(types.out)),
                            terms.from(0, begin, size)};
    epilogue.run(&args, 0, to.rows, thread, nullptr);
  });
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
