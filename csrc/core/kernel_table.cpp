#include "core/kernel_table.h"

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

}  // namespace

FoundKernel find_kernel(KernelId id, DType dtype, IndexType index_type, Isa highest) {
  for (const Listed& listed : kTables) {
    if (listed.isa > highest || !is_runnable(listed.isa)) continue;
    for (int i = 0; i < listed.table->count; ++i) {
      const KernelEntry& entry = listed.table->entries[i];
      if (entry.id == id && entry.dtype == dtype && entry.index_type == index_type) {
        return {entry.run, listed.isa};
      }
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
