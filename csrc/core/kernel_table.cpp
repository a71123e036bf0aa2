#include "core/kernel_table.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/cpu.h"

// Each object of csrc/targets/ defines exactly one symbol: its family's table for one ISA.
#define DG_FAMILIES(X, isa) \
  X(spmm, isa)              \
  X(spmv, isa)              \
  X(tiled, isa)             \
  X(gemm, isa)              \
  X(gemm_integer, isa)      \
  X(gemm_scaled, isa)       \
  X(gemm_pairs, isa)        \
  X(gemm_small, isa)        \
  X(gemm_thin, isa)         \
  X(epilogue, isa)          \
  X(dot, isa)               \
  X(copy, isa)              \
  X(bsr, isa)               \
  X(spgemm, isa)            \
  X(sddmm, isa)             \
  X(segments, isa)          \
  X(attention, isa)         \
  X(bags, isa)              \
  X(gram, isa)              \
  X(narrow, isa)

#define DG_DECLARE(family, isa) extern "C" const deepgemm::KernelTable dg_##family##_##isa;
#define DG_LIST(family, isa) {Isa::isa, &dg_##family##_##isa},

#if DG_WITH_AVX512
DG_FAMILIES(DG_DECLARE, avx512)
#endif
#if DG_WITH_AVX2
DG_FAMILIES(DG_DECLARE, avx2)
#endif
#if DG_WITH_SCALAR
DG_FAMILIES(DG_DECLARE, scalar)
#endif

namespace deepgemm {
namespace {

struct Listed {
  Isa isa;
  const KernelTable* table;
};

// Best first. A hand-tuned table goes above the generic one of its ISA; whatever a table lacks is
// looked for in the next. Named here, not registered by initialisers: those would run on load.
// clang-format off
const Listed kTables[] = {
#if DG_WITH_AVX512
    DG_FAMILIES(DG_LIST, avx512)
#endif
#if DG_WITH_AVX2
    DG_FAMILIES(DG_LIST, avx2)
#endif
#if DG_WITH_SCALAR
    DG_FAMILIES(DG_LIST, scalar)
#endif
};
// clang-format on

bool is_runnable(Isa isa) {
  for (Isa runnable : cpu::info().isas) {
    if (runnable == isa) return true;
  }
  return false;
}

// What runs here, ordered by its id and best first: a small product that went through the tables, several
// times, spent more time there than with its numbers (4 x 4 float16: 0.5 us of 0.9).
class RunnableKernels {
 public:
  struct Entry {
    KernelEntry kernel;
    Isa isa;
  };

  RunnableKernels() {
    for (const Listed& listed : kTables) {
      if (!is_runnable(listed.isa)) continue;
      for (int i = 0; i < listed.table->count; ++i)
        entries_.push_back({listed.table->entries[i], listed.isa});
    }
    const auto by_id = [](const Entry& x, const Entry& y) { return x.kernel.id < y.kernel.id; };
    std::stable_sort(entries_.begin(), entries_.end(), by_id);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      starts_.resize(std::max(starts_.size(), place(entries_[i].kernel.id) + 2), i);
      starts_.back() = i + 1;
    }
  }

  const Entry* begin(KernelId id) const { return entries_.data() + start(place(id)); }
  const Entry* end(KernelId id) const { return entries_.data() + start(place(id) + 1); }

 private:
  static std::size_t place(KernelId id) { return static_cast<std::size_t>(id); }
  std::size_t start(std::size_t id) const { return id < starts_.size() ? starts_[id] : entries_.size(); }

  std::vector<Entry> entries_;
  std::vector<std::size_t> starts_;  // where the entries of each id begin
};

const RunnableKernels& runnable_kernels() {
  // Never destroyed: a product may still run while the process ends.
  static const RunnableKernels& kernels = *new RunnableKernels;
  return kernels;
}

}  // namespace

FoundKernel find_kernel(KernelId id, DType dtype, IndexType index_type, Isa highest) {
  const RunnableKernels& kernels = runnable_kernels();
  for (const auto* entry = kernels.begin(id); entry != kernels.end(id); ++entry) {
    const KernelEntry& kernel = entry->kernel;
    if (entry->isa <= highest && kernel.dtype == dtype && kernel.index_type == index_type) {
      return {kernel.run, entry->isa};
    }
  }
  return {};
}

bool is_compiled(Isa isa) {
  for (const Listed& listed : kTables) {
    if (listed.isa == isa) return true;
  }
  return false;
}

bool is_usable(Isa isa) { return is_compiled(isa) && is_runnable(isa); }

Isa best_isa() {
  for (const Listed& listed : kTables) {
    if (is_runnable(listed.isa)) return listed.isa;
  }
  return Isa::scalar;
}

}  // namespace deepgemm
