// What every target file begins with: the vectors of its ISA, and the macro that names its table.
#pragma once

#include "core/kernel_table.h"

#if DG_ISA_AVX512
#include "simd/avx512.h"
#elif DG_ISA_AVX2
#include "simd/avx2.h"
#else
#include "simd/scalar.h"
#endif

#define DG_PASTE3_(a, b, c) a##b##_##c
#define DG_PASTE3(a, b, c) DG_PASTE3_(a, b, c)

// Defines the one symbol that an object of csrc/targets/ may export.
#define DG_EXPORT_TABLE(family, entries)                                    \
  extern "C" const deepgemm::KernelTable DG_PASTE3(dg_, family, DG_ISA) = { \
      entries, static_cast<int>(sizeof(entries) / sizeof((entries)[0]))};
