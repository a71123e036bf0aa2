// Products of float16 numbers in float16 arithmetic: chains of kHalfChain steps over pairs along k, whose
// sums are added to float32 ones.
//
// Counts for a tile of r rows and v vectors: for each two k v loads, r broadcasts and r v vfmadd231ph, which
// are 32 multiply-adds each, twice those of an FMA; for each chain seven instructions a vector of sums, and C
// is read and written once, in L1. For 14 rows and two vectors GCC 12 writes 48 instructions, 28 of which are
// the 896 multiply-adds, and after 64 of these rounds 28 times five instructions, a load and a store. On
// hardware it has not been measured. With vfmadd231ps in the instruction's place, which makes nonsense at the
// same pace, 256 x 256 x 256 was through in 1 / 1.75 of the time of the float32 tiles (one thread of a Zen
// 5); pairs of bfloat16, which need no widening, take 1 / 2.0.
#pragma once

#include "kernels/gemm_pairs-inl.h"
#include "simd/halves.h"

namespace deepgemm::DG_ISA {
namespace {

#if DG_ASSEMBLES_FP16
template <>
constexpr bool kWidens<HalfPair> = true;

struct Halves : Tiles<HalfPair> {
  static constexpr bool in_place = false;

  static void run(int rows, int panels, bool, const Tile<HalfPair>& tile) {
    Tile<HalfPair> part = tile;
    int64_t done = 0;
    do {
      part.depth = min64(kHalfChain, tile.depth - done);
      Tiles<HalfPair>::run(rows, panels, false, part);
      part.a += rows * part.depth;
      part.b += part.depth * part.b_step;
      part.ahead += part.depth * W;
      part.first = false;
      done += part.depth;
    } while (done < tile.depth);
    if (!finite(rows, tile)) __atomic_store_n(tile.overflowed, 1, __ATOMIC_RELAXED);
  }

 private:
  // A float16 sum that was not finite has left its mark, and sums of float32 numbers below 2^16 are finite.
  static bool finite(int rows, const Tile<HalfPair>& tile) {
    for (int r = 0; r < rows; ++r) {
      for (int j = 0; j < tile.columns; j += W) {
        if (!Simd<HalfPair>::finite(tile.c + r * tile.c_stride + j, tile.columns - j)) return false;
      }
    }
    return true;
  }
};

// Once a sum is not finite, the product is of no use, and the rest of it is left out.
void gemm_halves(const void* raw, int64_t begin, int64_t end, int thread, void* workspace) {
  const GemmBlockArgs& args = *static_cast<const GemmBlockArgs*>(raw);
  for (int64_t task = begin; task < end; ++task) {
    if (__atomic_load_n(args.overflowed, __ATOMIC_RELAXED) != 0) return;
    gemm_block<Halves>(raw, task, task + 1, thread, workspace);
  }
}
#endif

}  // namespace
}  // namespace deepgemm::DG_ISA
