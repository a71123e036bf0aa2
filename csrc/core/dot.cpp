#include "core/dot.h"

#include "core/gemm_args.h"
#include "core/parallel.h"

namespace deepgemm {

Isa dot(const void* a, std::int64_t a_stride, const void* b, std::int64_t b_stride, std::int64_t n,
        DType dtype, Isa highest, void* result) {
  const FoundKernel kernel = find_kernel(KernelId::dot, dtype, IndexType::i32, highest);
  const DotArgs args{a, a_stride, b, b_stride, result};
  // One task on the calling thread, for the pool's care of the floating-point environment.
  parallel::run(1, 1, [&](std::int64_t, int thread) { kernel.run(&args, 0, n, thread, nullptr); });
  return kernel.isa;
}

}  // namespace deepgemm
