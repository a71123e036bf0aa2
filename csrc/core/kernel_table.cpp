#include "core/kernel_table.h"

#include "core/cpu.h"

// Each object of csrc/targets/ defines exactly one symbol: its family's table for one ISA.
#define DG_FAMILY(family, isa) extern "C" const deepgemm::KernelTable dg_##family##_##isa;
#define DG_FAMILIES(isa) \
  DG_FAMILY(spmm, isa) DG_FAMILY(spmv, isa) DG_FAMILY(gemm, isa) DG_FAMILY(dot, isa) DG_FAMILY(spgemm, isa)
#if DG_WITH_AVX512
DG_FAMILIES(avx512)
#endif
#if DG_WITH_AVX2
DG_FAMILIES(avx2)
#endif
#if DG_WITH_SCALAR
DG_FAMILIES(scalar)
#endif
#undef DG_FAMILIES
#undef DG_FAMILY

namespace deepgemm {
namespace {

struct Listed {
  Isa isa;
  const KernelTable* table;
};

// Best first. A hand-tuned table goes above the generic one of its ISA; whatever a table lacks is
// looked for in the next. Named here, not registered by initialisers: those would run on load.
const Listed kTables[] = {
#if DG_WITH_AVX512
    {Isa::avx512, &dg_spmm_avx512}, {Isa::avx512, &dg_spmv_avx512},   {Isa::avx512, &dg_gemm_avx512},
    {Isa::avx512, &dg_dot_avx512},  {Isa::avx512, &dg_spgemm_avx512},
#endif
#if DG_WITH_AVX2
    {Isa::avx2, &dg_spmm_avx2},     {Isa::avx2, &dg_spmv_avx2},       {Isa::avx2, &dg_gemm_avx2},
    {Isa::avx2, &dg_dot_avx2},      {Isa::avx2, &dg_spgemm_avx2},
#endif
#if DG_WITH_SCALAR
    {Isa::scalar, &dg_spmm_scalar}, {Isa::scalar, &dg_spmv_scalar},   {Isa::scalar, &dg_gemm_scalar},
    {Isa::scalar, &dg_dot_scalar},  {Isa::scalar, &dg_spgemm_scalar},
#endif
};

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
